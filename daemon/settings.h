/* The head's settings: one struct, one table of rows that drives reading, checking, printing and the manual page. */
#ifndef TENURE_SETTINGS_H
#define TENURE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "conf.h"
#include "log.h"
#include "plan.h"
#include "policy.h"
#include "usec.h"

#define SETTINGS_PATH "/etc/tenure/tenured.conf"

/* Members are named as their keys. Strings are the struct's. */
struct head_settings {
	/* [head] */
	char *state_dir;        /* tenure.db and images/ live here */
	char *socket;           /* API on a unix socket */
	char *socket_mode;      /* octal, as written: see settings_socket_mode() */
	char *listen;           /* API on TCP, "HOST:PORT"; "" = none */
	char *http_listen;      /* image repository, "HOST:PORT"; "" = none */
	char *image_url;        /* under which agents fetch images; "" = http://HTTP_LISTEN/images */
	char *plaintext;        /* networks on which TCP without TLS is allowed; loopback always is */
	char *agent_token_file; /* secret that agents show over TCP; "" = no agents over TCP */
	char *operators;        /* users and @groups, separated by spaces */
	char *log_level;
	span_us heartbeat; /* agents report at least this often */
	int64_t max_connections;
	/* [plan]: see struct plan_settings */
	span_us lead;
	span_us prepare;
	span_us stop;
	span_us suspend_fixed;
	span_us resume_fixed;
	span_us min_run;
	span_us grace;
	span_us late;
	span_us stage_ahead;
	int64_t repository_rate; /* bytes per second */
	char *suspension;        /* these by the names of policy.h */
	char *backfill;
	int64_t backfill_depth;
	char *queue;
	span_us share_half;
	char *host;
	char *victim;
	char *exclusion;
	char *migration;
	bool learn;
	char *admission;
	char *price;
	int64_t price_rate;
	/* [history] */
	span_us keep; /* finished leases, their slots and events */
	bool record;
};

extern const struct setting settings_table[];
extern const size_t settings_count;

/*
 * Reads path (NULL = defaults only) and checks what a row alone cannot say: level, mode, addresses. As conf_load(): on
 * failure settings holds nothing that needs freeing. Free with settings_free().
 */
int settings_load(const char *path, struct head_settings *settings, struct err *err);
void settings_free(struct head_settings *settings);
/* Moves the reloadable members of fresh into settings, whose old ones go to fresh, for settings_free(). */
void settings_take(struct head_settings *settings, struct head_settings *fresh);

/* What "check" of a row that names a policy does; -1 with the names there are in err. */
int settings_check_policy(enum policy_set set, const char *text, struct err *err);

/* Values of another type than the file's words; settings passed settings_load(). */
struct plan_settings settings_plan(const struct head_settings *settings);
mode_t settings_socket_mode(const struct head_settings *settings);
enum log_level settings_log_level(const struct head_settings *settings);
/* Where agents fetch images: image_url, or made from http_listen; no slash at the end. The caller frees. */
char *settings_image_url(const struct head_settings *settings);

#endif
