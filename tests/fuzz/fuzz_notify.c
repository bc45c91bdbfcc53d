/* Strangers' bytes for telling: a link to acknowledge by, the times of rotas, records out of a store, a telling of the
 * other aggregator. The first byte says which. A link that nobody signed is never taken. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/notify/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char config_text[] = "[receiver a]\ntype = log\n[receiver b]\ntype = log\n"
                                  "[route all]\nreceivers = a\ngroup_by = alertname\nwait = 0s\n";

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void link_of(const char *text)
{
    static const uint8_t key[] = "a secret that the input does not know";
    struct fingerprint f;
    struct err e = {0};
    uint64_t epoch;

    must(ack_link_verify((struct bytes){key, sizeof key}, text, (struct wall){1000}, &f, &epoch, &e) != 0,
         "a link that nobody signed was taken");
}

static void times_of(const char *text)
{
    struct err e = {0};
    int8_t day = 0;
    int16_t minute = 0;
    int32_t number = 0;

    if (handover_parse(text, &day, &minute, &e) == 0)
        must(day >= -1 && day < 7 && minute >= 0 && minute < 24 * 60, "a handover out of bounds");
    if (date_parse(text, &number, &e) == 0)
        must(number >= 0 && number < 3000000, "a date out of bounds");
}

static void sent(void *arg, uint64_t delivery, const char *receiver, const struct notification *n)
{
    (void)arg;
    (void)delivery;
    must(receiver[0] && n->dedup_key[0] && n->title && n->text && n->link && n->ack_link && n->source,
         "a message with a text that is not there");
}

static void record(void *arg, struct bytes key, struct bytes value)
{
    (void)arg;
    (void)value;
    must(key.n > 2, "a record without a key");
}

static struct notify *make(struct mem *mem)
{
    struct section_row sections[NOTIFY_SECTIONS + 1];
    struct option_row rows[RECEIVER_ROWS];
    struct config_source source = {"f.ini", {(const uint8_t *)config_text, sizeof config_text - 1}};
    struct buf report;
    struct err e = {0};
    struct config *c;
    struct notify *n;

    (void)notify_sections(sections);
    sections[NOTIFY_SECTIONS] = (struct section_row){.name = receiver_section_name,
                                                     .named = true,
                                                     .sentence = "A receiver.",
                                                     .rows = rows,
                                                     .n_rows = receiver_rows(rows)};
    buf_init(&report, NULL, 1 << 16);
    c = config_parse(&source, 1, sections, NOTIFY_SECTIONS + 1, &report, &e);
    must(c != NULL, "the configuration");
    n = notify_new(&(struct notify_params){.config = c, .mem = mem, .region = "east", .host = "h", .seed = 1},
                   &report, &e);
    must(n != NULL, "telling");
    config_free(&c);
    buf_free(&report);
    return n;
}

/* Lines "key value", each a record; then some steps. */
static void records_of(char *text, bool peers)
{
    struct mem mem = {.cap = 64 << 20};
    struct notify *n = make(&mem);
    struct notify_effects out = {NULL, sent, record, NULL};
    struct peer_told told[16];
    struct peer_telling p = {.region = "west", .telling = true, .told = told};
    struct err e = {0};
    char id[64], *save = NULL;

    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *value = strchr(line, ' ');

        if (!value)
            continue;
        *value++ = 0;
        if (!peers)
            (void)notify_restore(n, (struct bytes){(const uint8_t *)line, strlen(line)},
                                 (struct bytes){(const uint8_t *)value, strlen(value)}, &e);
        else if (p.n_told < 16)
            told[p.n_told++] =
                (struct peer_told){line, strtoull(value, NULL, 10), value[0] & 1, value[0] & 2, value[0] & 4};
    }
    for (int i = 1; i < 8; i++) {
        struct notify_event ev = {.kind = peers && i == 2 ? NOTIFY_PEER : NOTIFY_TICK,
                                  .now = {INT64_C(1772445600000) + i * 60000},
                                  .mono = {i * INT64_C(60000000000)},
                                  .peer = &p};

        (void)notify_step(n, &ev, &out, id, &e);
    }
    notify_free(&n);
    must(mem.used == 0, "memory that is not given back");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text;

    if (size < 1 || size > 1 << 16)
        return 0;
    text = calloc(1, size);
    must(text != NULL, "memory");
    memcpy(text, data + 1, size - 1);
    switch (data[0] % 4) {
    case 0: link_of(text); break;
    case 1: times_of(text); break;
    case 2: records_of(text, false); break;
    default: records_of(text, true);
    }
    free(text);
    return 0;
}
