/* Strings from outside made harmless to a terminal, and to the eye. */
#ifndef TENURE_SAFE_H
#define TENURE_SAFE_H

/*
 * A copy (caller frees) in which control characters, bytes that are not UTF-8 and characters that turn the direction of
 * writing appear as \uXXXX, so that no name can move the cursor, change colours or forge a line.
 */
char *safe_text(const char *text);
/* The same for JSON text: its newlines stay, and as such characters stand only inside strings, its value does too. */
char *safe_json(const char *json);

#endif
