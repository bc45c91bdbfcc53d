/* What tests, fuzzer and benchmark of ingest share: a configuration, and batches of a small host. */
#ifndef TESTS_INGEST_KIT_H
#define TESTS_INGEST_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "aggregator/ingest/ingest.h"
#include "aggregator/series/series.h"
#include "common/base/rng.h"
#include "common/wire/wire.h"

enum { KIT_MAX_SERIES = 1000, KIT_MAX_TICKS = 10 };

static const struct option_row kit_aggregator_rows[] = {
    {.key = "stale_after", .type = OPT_DURATION, .dflt = "60s", .sentence = "Of the tests."},
    {.key = "agent_ttl", .type = OPT_DURATION, .dflt = "24h", .sentence = "Of the tests."},
    {.key = "role", .type = OPT_STRING, .dflt = "full", .sentence = "Of the tests."},
};

static inline struct config *kit_config(const char *text, struct err *e)
{
    static struct section_row rows[6]; /* borrowed by the configuration */
    struct config_source source = {"test.ini", {(const uint8_t *)text, strlen(text)}};
    struct config *c;
    struct buf report;

    rows[0] = (struct section_row){
        .name = "aggregator", .sentence = "Of the tests.", .rows = kit_aggregator_rows, .n_rows = 3};
    rows[1] = ingest_section;
    rows[2] = token_section;
    rows[3] = percentile_section;
    rows[4] = history_section;
    rows[5] = retention_section;
    buf_init(&report, NULL, 1 << 16);
    c = config_parse(&source, 1, rows, 6, &report, e);
    if (c && ingest_check(c, &report, e) != 0)
        config_free(&c);
    if (!c)
        (void)fprintf(stderr, "%s", buf_text(&report));
    buf_free(&report);
    return c;
}

/* A host: its definitions, and what its batches are made from. */
struct kit_host {
    struct wire_codec *codec;
    struct wire_series series[KIT_MAX_SERIES];
    char names[KIT_MAX_SERIES][32];
    struct wire_schema schema;
    struct wire_column columns[KIT_MAX_SERIES];
    int64_t ints[KIT_MAX_SERIES][KIT_MAX_TICKS];
    struct wire_entry entries[2]; /* resource, schema */
    struct buf resource_bytes, schema_bytes, definitions, payload;
    uint32_t ticks;
};

static inline struct wire_str kit_text(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

static inline struct kit_host *kit_host(const char *host, uint32_t n, uint32_t ticks)
{
    struct kit_host *h = calloc(1, sizeof *h);
    struct wire_label labels[] = {{kit_text("env"), kit_text("test")},
                                  {kit_text("host"), kit_text(host)},
                                  {kit_text("region"), kit_text("eu")}};
    struct wire_resource resource = {labels, 3};
    struct buf payload;
    struct err e = {0};

    if (!h)
        abort();
    h->codec = wire_codec_new(1);
    h->ticks = ticks;
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(h->names[i], sizeof h->names[i], "test_%u", i);
        h->series[i] = (struct wire_series){.name = kit_text(h->names[i]),
                                            .kind = i % 2 ? WIRE_COUNTER : WIRE_GAUGE,
                                            .mul = 1,
                                            .div = 1,
                                            .help = kit_text("")};
        h->columns[i] = (struct wire_column){.mode = 0, .ints = h->ints[i]};
    }
    h->schema = (struct wire_schema){h->series, n, 0};
    buf_init(&h->resource_bytes, NULL, 1 << 20);
    buf_init(&h->schema_bytes, NULL, 1 << 20);
    buf_init(&h->definitions, NULL, 1 << 20);
    buf_init(&h->payload, NULL, 8 << 20);
    buf_init(&payload, NULL, 8 << 20);
    if (wire_resource_encode(&resource, &h->resource_bytes, &e) ||
        wire_schema_encode(&h->schema, &h->schema_bytes, &e))
        abort();
    h->entries[0] = (struct wire_entry){wire_hash_of(h->resource_bytes.data, h->resource_bytes.len),
                                        buf_bytes(&h->resource_bytes)};
    h->entries[1] = (struct wire_entry){wire_hash_of(h->schema_bytes.data, h->schema_bytes.len),
                                        buf_bytes(&h->schema_bytes)};
    if (wire_definitions_encode(h->entries, 2, &payload, &e) ||
        wire_deflate(h->codec, payload.data, payload.len, &h->definitions, &e))
        abort();
    buf_free(&payload);
    return h;
}

static inline void kit_host_free(struct kit_host **hp)
{
    struct kit_host *h = *hp;

    wire_codec_free(&h->codec);
    buf_free(&h->resource_bytes);
    buf_free(&h->schema_bytes);
    buf_free(&h->definitions);
    buf_free(&h->payload);
    free(h);
    *hp = NULL;
}

/* Appends the frame of a batch whose last tick is at `now`; value
 * of series i at tick k: (seq·10 + k)·(i + 1) + twist. */
static inline void kit_frame(struct kit_host *h, const char *agent, uint64_t epoch, uint64_t seq,
                             uint64_t low, int64_t now, int64_t twist, struct buf *out)
{
    struct wire_block_out block = {.schema = h->entries[1].hash,
                                   .layout = &h->schema,
                                   .t0 = now - (int64_t)(h->ticks - 1) * 1000,
                                   .dt = h->ticks > 1 ? 1000 : 0,
                                   .n = h->ticks,
                                   .columns = h->columns};
    struct wire_batch_out b = {.agent = kit_text(agent),
                               .epoch = epoch,
                               .seq = seq,
                               .low = low,
                               .sealed = now,
                               .resource = h->entries[0].hash,
                               .blocks = &block,
                               .n_blocks = 1};
    struct err e = {0};

    for (uint32_t i = 0; i < h->schema.n; i++)
        for (uint32_t k = 0; k < h->ticks; k++)
            h->ints[i][k] = (int64_t)(seq * 10 + k) * (i + 1) + twist;
    buf_clear(&h->payload);
    if (wire_batch_encode(&b, &h->payload, &e) ||
        wire_deflate(h->codec, h->payload.data, h->payload.len, out, &e)) {
        (void)fprintf(stderr, "kit: %s\n", e.text);
        abort();
    }
}

#endif
