/* Any bytes as a failover record. As they are, they are almost always refused by their checksum; so the last line is also
 * put right and they are read again: what is taken then can be written, and comes back byte for byte. */
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/failover/failover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fo_names names = {
    .service = "app",
    .region = {"us-east-1", "us-west-2", "eu-west-1"},
    .action = {"fence-db", "promote", "dns"},
};
static const struct fo_config config = {.n_regions = 3, .n_actions = 3};

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void put_right(struct buf *b)
{
    unsigned char d[SHA256_DIGEST_LENGTH];

    SHA256(b->len ? b->data : (const uint8_t *)"", b->len, d);
    buf_str(b, "sha256 ");
    for (unsigned i = 0; i < sizeof d; i++)
        buf_fmt(b, "%02x", d[i]);
    buf_u8(b, '\n');
}

static void read_it(struct bytes text)
{
    struct fo_record a, back;
    struct err e = {0};
    struct buf b;
    int code = fo_record_read(text, &config, &names, &a, &e);

    if (code != 0) {
        must(code == ERR_MALFORMED || code == ERR_LIMIT || code == ERR_STATE, "a code that is not told");
        must(e.code == code && e.text[0] != '\0', "refused without a word");
        return;
    }
    must(a.active < 3 && a.status <= FO_UNDO_STATUS && a.plan.kind < FO_KINDS && a.plan.step < PLAN_STEPS,
         "a value that cannot be");
    buf_init(&b, NULL, 1 << 16);
    code = fo_record_write(&a, &config, &names, &b);
    must(code == 0 || code == ERR_LIMIT, "what was read cannot be written");
    if (code == 0) {
        must(fo_record_read(buf_bytes(&b), &config, &names, &back, &e) == 0, "what was written is refused");
        must(memcmp(&a, &back, sizeof a) == 0, "what was written is another record");
    }
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b;

    if (size > FO_RECORD_TEXT)
        return 0;
    read_it((struct bytes){data, size});
    buf_init(&b, NULL, 1 << 16);
    buf_put(&b, data, size);
    put_right(&b);
    read_it(buf_bytes(&b));
    buf_free(&b);
    return 0;
}
