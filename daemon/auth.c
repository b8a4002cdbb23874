/* Names and roles of peers, by the kernel's word and the settings. Which role may call what is method.tbl's. */
#include "auth.h"

#include <errno.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "sha256.h"
#include "token.h"
#include "util.h"

#define GROUPS_MAX 256   /* groups of one user that count */
#define NSS_BUFFER 16384 /* more than glibc suggests for an entry; longer ones count as unknown */

struct auth {
	char *operators;
	bool has_token;
	char token[SHA256_HEX]; /* of the secret, so that comparing takes the same time for any length */
};

int auth_reload(struct auth *auth, const struct head_settings *settings, struct err *err)
{
	bool has_token = *settings->agent_token_file;
	_cleanup_token_ char *token =
		has_token ? token_read(settings->agent_token_file, "agent_token_file", err) : NULL;

	if (has_token && !token) {
		return -1;
	}
	free(auth->operators);
	auth->operators = xstrdup(settings->operators);
	auth->has_token = has_token;
	if (has_token) {
		sha256_hex(token, strlen(token), auth->token);
	}
	return 0;
}

struct auth *auth_new(const struct head_settings *settings, struct err *err)
{
	struct auth *auth = xcalloc(1, sizeof(*auth));

	if (auth_reload(auth, settings, err) < 0) {
		auth_free(auth);
		return NULL;
	}
	return auth;
}

void auth_free(struct auth *auth)
{
	if (auth) {
		free(auth->operators);
		free(auth);
	}
}

static bool in_group(const char *user, gid_t gid, const char *group)
{
	char buffer[NSS_BUFFER];
	struct group entry, *found = NULL;
	gid_t groups[GROUPS_MAX];
	int n = GROUPS_MAX;

	if (getgrnam_r(group, &entry, buffer, sizeof(buffer), &found) != 0 || !found) {
		return false;
	}
	/* With more groups than that the array is full all the same. */
	if (getgrouplist(user, gid, groups, &n) < 0) {
		n = GROUPS_MAX;
	}
	for (int i = 0; i < n; i++) {
		if (groups[i] == found->gr_gid) {
			return true;
		}
	}
	return false;
}

static bool is_operator(const struct auth *auth, const char *user, gid_t gid)
{
	_cleanup_free_ char *list = xstrdup(auth->operators);
	char *rest = list;

	for (char *word = strtok_r(list, " \t,", &rest); word; word = strtok_r(NULL, " \t,", &rest)) {
		if (word[0] == '@' ? in_group(user, gid, word + 1) : strcmp(word, user) == 0) {
			return true;
		}
	}
	return false;
}

static void identify_local(const struct auth *auth, const struct conn_peer *peer, struct identity *who)
{
	char buffer[NSS_BUFFER];
	struct passwd entry, *found = NULL;
	bool known = getpwuid_r(peer->uid, &entry, buffer, sizeof(buffer), &found) == 0 && found &&
		     strlen(entry.pw_name) < sizeof(who->name);

	if (known) {
		snprintf(who->name, sizeof(who->name), "%s", entry.pw_name);
	} else {
		snprintf(who->name, sizeof(who->name), "uid:%u", (unsigned)peer->uid);
	}
	if (peer->uid == 0 || peer->uid == geteuid()) {
		who->role = ROLE_ADMIN;
	} else if (known && is_operator(auth, who->name, entry.pw_gid)) {
		who->role = ROLE_OPERATOR;
	}
}

void auth_identify(const struct auth *auth, const struct conn_peer *peer, struct identity *who)
{
	*who = (struct identity){.role = ROLE_USER, .local = peer->local, .name = "tcp"};
	if (peer->local) {
		identify_local(auth, peer, who);
	}
}

int auth_agent(const struct auth *auth, const struct identity *who, const char *token, struct err *err)
{
	char shown[SHA256_HEX];

	if (who->role == ROLE_AGENT || (who->local && who->role == ROLE_ADMIN)) {
		return 0;
	}
	if (!auth->has_token) {
		return err_set(err, ERR_DENIED,
			       "no agents but local ones are admitted; set agent_token_file in tenured.conf");
	}
	if (!token) {
		return err_set(err, ERR_DENIED, "node.hello needs the agent token; set token_file in agent.conf");
	}
	sha256_hex(token, strlen(token), shown);
	if (CRYPTO_memcmp(shown, auth->token, sizeof(shown)) != 0) {
		return err_set(err, ERR_DENIED, "the agent token is not the head's");
	}
	return 0;
}
