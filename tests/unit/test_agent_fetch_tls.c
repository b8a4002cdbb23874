/* Fetching by HTTPS from a server with a good certificate, and with every kind of bad one. */
#include <arpa/inet.h>
#include <check.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "fetch.h"
#include "sha256.h"
#include "suite.h"
#include "util.h"

#define DAY_S (24 * 60 * 60L)
#define LIMIT_S 20

static const char content[] = "an image, as far as this test is concerned";
static char folder[64], ca_path[100], part_path[100], path[100], digest[SHA256_HEX];
static struct event_base *base;
static struct evhttp *server;
static SSL_CTX *ctx;
static unsigned port;
static enum fetch_verdict verdict;
static char text[256];
static bool ended;

/* ---- certificates ---- */

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(extension);
	ck_assert_int_eq(X509_add_ext(cert, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* From ten days ago until days from now; issuer NULL: signed by itself. */
static X509 *make_cert(const char *name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, long days)
{
	static long serial;
	X509 *cert = X509_new();

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -10 * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), days * DAY_S);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1,
				   0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
	if (issuer) {
		add_extension(cert, NID_subject_alt_name, name);
	} else {
		add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
	}
	ck_assert_int_gt(X509_sign(cert, issuer_key, EVP_sha256()), 0);
	return cert;
}

/* A server's certificate for name, by an authority whose own certificate is in ca_path. */
static void make_certs(const char *name, long days)
{
	EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *ca = make_cert("test authority", ca_key, NULL, ca_key, 1);
	X509 *cert = make_cert(name, key, ca, ca_key, days);
	FILE *file = fopen(ca_path, "w");

	ck_assert(file && PEM_write_X509(file, ca) == 1 && fclose(file) == 0);
	ctx = SSL_CTX_new(TLS_server_method());
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

/* ---- the server ---- */

static struct bufferevent *on_accept(struct event_base *of, void *arg)
{
	(void)arg;
	return bufferevent_openssl_socket_new(of, -1, SSL_new(ctx), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void on_request(struct evhttp_request *request, void *arg)
{
	struct evbuffer *out = evbuffer_new();

	(void)arg;
	if (strcmp(evhttp_request_get_uri(request), "/plain") == 0) {
		evhttp_add_header(evhttp_request_get_output_headers(request), "Location", "http://127.0.0.1:1/image");
		evhttp_send_reply(request, 302, "Found", NULL);
	} else {
		evbuffer_add(out, content, sizeof(content));
		evhttp_send_reply(request, 200, "OK", out);
	}
	evbuffer_free(out);
}

static void setup(void)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	signal(SIGPIPE, SIG_IGN); /* a client that trusts us not hangs up */
	evthread_use_pthreads();
	strcpy(folder, "/tmp/tenure-test-tls-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(ca_path, sizeof(ca_path), "%s/ca.pem", folder);
	snprintf(part_path, sizeof(part_path), "%s/image.part", folder);
	snprintf(path, sizeof(path), "%s/image", folder);
	sha256_hex(content, sizeof(content), digest);
	base = event_base_new();
	server = evhttp_new(base);
	evhttp_set_bevcb(server, on_accept, NULL);
	evhttp_set_gencb(server, on_request, NULL);
	bound = evhttp_bind_socket_with_handle(server, "127.0.0.1", 0);
	ck_assert_ptr_nonnull(bound);
	getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len);
	port = ntohs(address.sin_port);
}

static void teardown(void)
{
	evhttp_free(server);
	event_base_loop(base, EVLOOP_NONBLOCK); /* libevent frees the connections' ends from the loop */
	event_base_free(base);
	SSL_CTX_free(ctx);
	unlink(ca_path);
	unlink(part_path);
	unlink(path);
	ck_assert_int_eq(rmdir(folder), 0);
}

/* ---- the client ---- */

static void on_moved(struct fetch *fetch, void *arg)
{
	(void)fetch;
	(void)arg;
}

static void on_ended(struct fetch *fetch, enum fetch_verdict how, const char *why, void *arg)
{
	(void)fetch;
	(void)arg;
	ended = true;
	verdict = how;
	snprintf(text, sizeof(text), "%s", why);
}

/* Fetches what the server has at that place, trusting ca_file. */
static void fetch(const char *place, const char *ca_file)
{
	static const struct fetch_ops ops = {.moved = on_moved, .ended = on_ended};
	_cleanup_free_ char *url = xasprintf("https://127.0.0.1:%u%s", port, place);
	struct fetch_order order = {
		.url = url,
		.digest = digest,
		.size = sizeof(content),
		.part_path = part_path,
		.path = path,
		.connect_timeout_us = LIMIT_S * USEC_PER_SEC,
		.stall_timeout_us = LIMIT_S * USEC_PER_SEC,
		.stall_rate = 1,
	};
	struct err err;
	struct fetcher *fetcher = fetcher_new(base, ca_file, &err);

	ck_assert_ptr_nonnull(fetcher);
	ended = false;
	fetch_start(fetcher, &order, &ops, NULL);
	while (!ended) {
		event_base_loop(base, EVLOOP_ONCE);
	}
	fetcher_free(fetcher);
}

static void refused(const char *why)
{
	ck_assert_msg(verdict == FETCH_REFUSED, "verdict %d: %s", verdict, text);
	ck_assert_msg(strstr(text, why) != NULL, "\"%s\" does not say \"%s\"", text, why);
	ck_assert_int_ne(access(path, F_OK), 0);
}

/* ---- tests ---- */

START_TEST(trusted)
{
	make_certs("IP:127.0.0.1", 1);
	fetch("/image", ca_path);
	ck_assert_msg(verdict == FETCH_DONE, "%s", text);
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(unknown_authority)
{
	make_certs("IP:127.0.0.1", 1);
	fetch("/image", "");
	refused("certificate");
	refused("issuer");
}
END_TEST

START_TEST(other_name)
{
	make_certs("DNS:images.example.org", 1);
	fetch("/image", ca_path);
	refused("127.0.0.1");
	refused("name");
}
END_TEST

START_TEST(expired)
{
	make_certs("IP:127.0.0.1", -1);
	fetch("/image", ca_path);
	refused("expired");
}
END_TEST

START_TEST(to_plaintext)
{
	make_certs("IP:127.0.0.1", 1);
	fetch("/plain", ca_path);
	refused("http");
}
END_TEST

/* The node's own fault, and soon put right: not the image's end. */
START_TEST(no_ca_file)
{
	make_certs("IP:127.0.0.1", 1);
	unlink(ca_path);
	fetch("/image", ca_path);
	ck_assert_msg(verdict == FETCH_RETRY, "verdict %d: %s", verdict, text);
	ck_assert_msg(strstr(text, ca_path) != NULL, "%s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("agent_fetch_tls");
	TCase *tls = tcase_create("tls");

	tcase_add_checked_fixture(tls, setup, teardown);
	tcase_set_timeout(tls, 2 * LIMIT_S);
	tcase_add_test(tls, trusted);
	tcase_add_test(tls, unknown_authority);
	tcase_add_test(tls, other_name);
	tcase_add_test(tls, expired);
	tcase_add_test(tls, to_plaintext);
	tcase_add_test(tls, no_ca_file);
	suite_add_tcase(suite, tls);
	return run_suite(suite);
}
