/* The secret that head and agents share: the first line of a file that not everybody may read. */
#ifndef TENURE_TOKEN_H
#define TENURE_TOKEN_H

#include "err.h"
#include "util.h"

#define TOKEN_MIN 16  /* characters: shorter ones are guessed */
#define TOKEN_MAX 256 /* as node.hello's parameter */

/*
 * Reads it; the caller ends with token_free(). NULL with ERR_INTERNAL: no such file, one that everybody may read or
 * write, or a line too short or too long; ERR_LIMIT: more than 4096 bytes; others as file_read(). The text begins with
 * the setting that names the file.
 */
char *token_read(const char *path, const char *setting, struct err *err);
/* Wipes it, too. NULL is allowed. */
void token_free(char *token);

static inline void cleanup_token(char **token)
{
	token_free(*token);
}

/* In front of a variable that owns one. */
#define _cleanup_token_ _cleanup_(cleanup_token)

#endif
