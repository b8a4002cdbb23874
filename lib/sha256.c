/* SHA-256 by OpenSSL's EVP. Other digests have no business here: images are named by this one only. */
#include "sha256.h"

#include <openssl/evp.h>

#include "log.h"
#include "util.h"

struct sha256 {
	EVP_MD_CTX *context;
};

/* EVP fails only without memory or without its default provider, and then nothing can be promised about images. */
static void must(int ok)
{
	if (!ok) {
		log_error("OpenSSL cannot compute SHA-256: out of memory or a broken installation");
		abort();
	}
}

struct sha256 *sha256_new(void)
{
	struct sha256 *hash = xcalloc(1, sizeof(*hash));

	hash->context = EVP_MD_CTX_new();
	must(hash->context && EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL));
	return hash;
}

void sha256_free(struct sha256 *hash)
{
	if (hash) {
		EVP_MD_CTX_free(hash->context);
		free(hash);
	}
}

void sha256_update(struct sha256 *hash, const void *data, size_t len)
{
	must(EVP_DigestUpdate(hash->context, data, len));
}

void sha256_final(struct sha256 *hash, char out[SHA256_HEX])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	must(EVP_DigestFinal_ex(hash->context, digest, &len));
	hex_encode(digest, len, out);
	must(EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL));
}

void sha256_hex(const void *data, size_t len, char out[SHA256_HEX])
{
	struct sha256 *hash = sha256_new();

	sha256_update(hash, data, len);
	sha256_final(hash, out);
	sha256_free(hash);
}
