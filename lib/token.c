/* See token.h. */
#include "token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util.h"

#define FILE_MAX 4096 /* bytes, of which the first line counts */

char *token_read(const char *path, const char *setting, struct err *err)
{
	char *token;
	struct stat st;

	if (stat(path, &st) < 0) {
		err_set(err, ERR_INTERNAL, "%s %s: %s", setting, path, strerror(errno));
		return NULL;
	}
	if (st.st_mode & (S_IROTH | S_IWOTH)) {
		err_set(err, ERR_INTERNAL, "%s %s is open to everybody; chmod 640 it", setting, path);
		return NULL;
	}
	token = file_read(path, FILE_MAX, err);
	if (!token) {
		err_prefix(err, "%s", setting);
		return NULL;
	}
	token[strcspn(token, "\r\n")] = '\0';
	if (strlen(token) < TOKEN_MIN || strlen(token) > TOKEN_MAX) {
		token_free(token);
		err_set(err, ERR_INTERNAL, "%s %s: the first line must have %d to %d characters", setting, path,
			TOKEN_MIN, TOKEN_MAX);
		return NULL;
	}
	return token;
}

void token_free(char *token)
{
	if (token) {
		OPENSSL_cleanse(token, strlen(token));
		free(token);
	}
}
