/* Strings from outside made harmless to a terminal, and to the eye. */
#ifndef TENURE_SAFE_H
#define TENURE_SAFE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A copy (caller frees) in which control characters, bytes that are not UTF-8 and characters that turn the direction of
 * writing appear as \uXXXX, so that no name can move the cursor, change colours or forge a line.
 */
char *safe_text(const char *text);
/* The same for JSON text: its newlines stay, and as such characters stand only inside strings, its value does too. */
char *safe_json(const char *json);
/* Bytes of the UTF-8 sequence at s (1-4), its character through *c; 0 if it is not one. */
size_t safe_decode(const char *s, uint32_t *c);

#endif
