/* The wire codec as a filter, for tests in other languages. Whole numbers beyond 2^53
 * and all float64 travel as strings in JSON: "-12", "0x3ff0000000000000" (the bits).
 *
 *   wire_tool read-definition               < bytes            > JSON
 *   wire_tool read-batch SCHEMA…            < frame            > JSON     (each SCHEMA a file with the bytes of one)
 *   wire_tool write-batch SCHEMA…           < JSON             > frame
 *   wire_tool write-definition              < JSON             > bytes
 *   wire_tool read-answer STATUS            < msgpack          > JSON
 *   wire_tool read-request                  < frame            > JSON     (a definitions request)
 *   wire_tool write-sketch                  < {"values": [[v, weight]…], "q": [q…]}  > {"sketch": hex, "q": [value…]}
 *
 * What is refused gives {"reason": …, "status": …, "error": …} and the exit status 1. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/sketch/sketch.h"
#include "common/wire/wire.h"

enum { CAP = 16 << 20, SCHEMAS = 64 };

struct tool {
    struct buf in, text;
    struct wire_codec *codec;
    struct arena arena;
    struct wire_schema schemas[SCHEMAS];
    struct wire_hash hashes[SCHEMAS];
    uint32_t n_schemas;
    struct err e;
    enum wire_reason reason;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "wire_tool: %s\n", what);
    exit(2);
}

static void read_all(FILE *f, struct buf *b)
{
    uint8_t block[65536];
    size_t n;

    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_put(b, block, n);
    if (b->full)
        die("the input is too long");
}

static void print(cJSON *j)
{
    char *s = cJSON_PrintUnformatted(j);

    if (!s)
        die("no memory");
    (void)puts(s);
    cJSON_free(s);
    cJSON_Delete(j);
}

static int refuse(const struct tool *t)
{
    cJSON *j = cJSON_CreateObject();

    (void)cJSON_AddStringToObject(j, "reason", wire_reason_name(t->reason));
    (void)cJSON_AddNumberToObject(j, "status", wire_reason_status(t->reason));
    (void)cJSON_AddStringToObject(j, "error", t->e.text);
    print(j);
    return 1;
}

static cJSON *text_of(struct wire_str s)
{
    char *copy = calloc(1, (size_t)s.n + 1);
    cJSON *j;

    if (!copy)
        die("no memory");
    if (s.n)
        memcpy(copy, s.p, s.n);
    j = cJSON_CreateString(copy);
    free(copy);
    return j;
}

static cJSON *number(int64_t v)
{
    char s[32];

    (void)snprintf(s, sizeof s, "%" PRId64, v);
    return cJSON_CreateString(s);
}

static cJSON *unsigned_number(uint64_t v)
{
    char s[32];

    (void)snprintf(s, sizeof s, "%" PRIu64, v);
    return cJSON_CreateString(s);
}

static cJSON *real(double v)
{
    char s[32];
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    (void)snprintf(s, sizeof s, "0x%016" PRIx64, bits);
    return cJSON_CreateString(s);
}

static cJSON *hex(const uint8_t *p, size_t n)
{
    char *s = calloc(2, n + 1);
    cJSON *j;

    if (!s)
        die("no memory");
    for (size_t i = 0; i < n; i++)
        (void)snprintf(s + 2 * i, 3, "%02x", p[i]);
    j = cJSON_CreateString(s);
    free(s);
    return j;
}

static cJSON *labels_of(const struct wire_label *l, uint32_t n)
{
    cJSON *j = cJSON_CreateObject();

    for (uint32_t i = 0; i < n; i++) {
        char name[WIRE_MAX_LABEL_NAME + 1] = {0};

        memcpy(name, l[i].name.p, l[i].name.n);
        (void)cJSON_AddItemToObject(j, name, text_of(l[i].value));
    }
    return j;
}

/* ---- reading ---- */

static cJSON *schema_of(const struct wire_schema *s)
{
    cJSON *list = cJSON_CreateArray();

    for (uint32_t i = 0; i < s->n; i++) {
        const struct wire_series *x = &s->series[i];
        cJSON *j = cJSON_CreateArray();

        (void)cJSON_AddItemToArray(j, text_of(x->name));
        (void)cJSON_AddItemToArray(j, cJSON_CreateNumber(x->kind));
        (void)cJSON_AddItemToArray(j, cJSON_CreateNumber(x->mul));
        (void)cJSON_AddItemToArray(j, cJSON_CreateNumber(x->div));
        (void)cJSON_AddItemToArray(j, labels_of(x->labels, x->n_labels));
        (void)cJSON_AddItemToArray(j, text_of(x->help));
        (void)cJSON_AddItemToArray(list, j);
    }
    return list;
}

static cJSON *definition_of(const struct wire_definition *d)
{
    return d->sort == WIRE_SORT_SCHEMA ? schema_of(&d->schema)
                                       : labels_of(d->resource.labels, d->resource.n_labels);
}

static int read_definition(struct tool *t)
{
    struct wire_definition d;

    if (wire_definition_decode(t->in.data, t->in.len, &t->arena, &d, &t->reason, &t->e))
        return refuse(t);
    print(definition_of(&d));
    return 0;
}

static int read_request(struct tool *t)
{
    struct wire_entry *list;
    cJSON *j = cJSON_CreateArray();
    uint32_t n;

    if (wire_inflate(t->codec, t->in.data, t->in.len, &t->text, &t->reason, &t->e) ||
        wire_walk(t->text.data, t->text.len, &t->reason, &t->e) ||
        wire_definitions_decode(t->text.data, t->text.len, &t->arena, &list, &n, &t->reason, &t->e))
        return refuse(t);
    for (uint32_t i = 0; i < n; i++) {
        struct wire_definition d;

        if (wire_definition_decode(list[i].value.p, list[i].value.n, &t->arena, &d, &t->reason, &t->e))
            return refuse(t);
        (void)cJSON_AddItemToArray(j, definition_of(&d));
    }
    print(j);
    return 0;
}

static const struct wire_schema *schema_by(const struct tool *t, const struct wire_hash *h)
{
    for (uint32_t i = 0; i < t->n_schemas; i++)
        if (!memcmp(h->b, t->hashes[i].b, sizeof h->b))
            return &t->schemas[i];
    return NULL;
}

static cJSON *columns_of(const struct wire_schema *s, const struct wire_values *v)
{
    cJSON *columns = cJSON_CreateArray();

    for (uint32_t j = 0; j < s->n; j++) {
        cJSON *column = cJSON_CreateArray();
        uint32_t next = wire_next_tick(v, j, 0), k = 0;

        for (uint32_t i = 0; i < v->n; i++) {
            if (i != next) {
                (void)cJSON_AddItemToArray(column, cJSON_CreateNull());
                continue;
            }
            (void)cJSON_AddItemToArray(column, s->series[j].kind == WIRE_SKETCH
                                                   ? hex(v->sketch[j][k].p, v->sketch[j][k].n)
                                                   : real(v->num[j][k]));
            k++;
            next = wire_next_tick(v, j, i + 1);
        }
        (void)cJSON_AddItemToArray(columns, column);
    }
    return columns;
}

static cJSON *block_of(const struct wire_block *b, const struct wire_schema *s, const struct wire_values *v)
{
    cJSON *j = cJSON_CreateObject(), *times = cJSON_AddArrayToObject(j, "times");

    (void)cJSON_AddItemToObject(j, "schema", hex(b->schema.b, sizeof b->schema.b));
    (void)cJSON_AddItemToObject(j, "start", b->has_start ? number(b->start) : cJSON_CreateNull());
    for (uint32_t i = 0; i < v->n; i++)
        (void)cJSON_AddItemToArray(times, number(v->times[i]));
    (void)cJSON_AddItemToObject(j, "columns", columns_of(s, v));
    return j;
}

static cJSON *event_of(const struct wire_event *ev)
{
    cJSON *j = cJSON_CreateObject();

    (void)cJSON_AddItemToObject(j, "t", number(ev->t));
    (void)cJSON_AddItemToObject(j, "kind", text_of(ev->kind));
    (void)cJSON_AddItemToObject(j, "name", text_of(ev->name));
    (void)cJSON_AddItemToObject(j, "text", text_of(ev->text));
    (void)cJSON_AddItemToObject(j, "labels", labels_of(ev->labels, ev->n_labels));
    return j;
}

static cJSON *root_of(const struct wire_batch *b)
{
    cJSON *j = cJSON_CreateObject();

    (void)cJSON_AddItemToObject(j, "agent", text_of(b->agent));
    (void)cJSON_AddItemToObject(j, "epoch", unsigned_number(b->epoch));
    (void)cJSON_AddItemToObject(j, "seq", unsigned_number(b->seq));
    (void)cJSON_AddItemToObject(j, "low", unsigned_number(b->low));
    (void)cJSON_AddItemToObject(j, "sealed", number(b->sealed));
    (void)cJSON_AddItemToObject(j, "resource", hex(b->resource.b, sizeof b->resource.b));
    return j;
}

static int read_batch(struct tool *t)
{
    static struct wire_values values[WIRE_MAX_BLOCKS];
    const struct wire_values *list[WIRE_MAX_BLOCKS];
    struct wire_batch b;
    struct wire_event *events;
    uint64_t count = 0;
    uint32_t n;
    cJSON *j, *blocks, *out;

    if (wire_inflate(t->codec, t->in.data, t->in.len, &t->text, &t->reason, &t->e) ||
        wire_walk(t->text.data, t->text.len, &t->reason, &t->e) ||
        wire_batch_decode(t->text.data, t->text.len, &t->arena, &b, &t->reason, &t->e))
        return refuse(t);
    j = root_of(&b);
    blocks = cJSON_AddArrayToObject(j, "blocks");
    for (uint32_t i = 0; i < b.n_blocks; i++) {
        const struct wire_schema *s = schema_by(t, &b.blocks[i].schema);

        if (!s) {
            t->reason = WIRE_DEFINITIONS;
            return refuse(t);
        }
        if (wire_block_decode(&b.blocks[i], s, &t->arena, &values[i], &count, &t->reason, &t->e))
            return refuse(t);
        list[i] = &values[i];
        (void)cJSON_AddItemToArray(blocks, block_of(&b.blocks[i], s, &values[i]));
    }
    if (wire_batch_check_ticks(&b, list, &t->reason, &t->e) ||
        wire_events_decode(b.events, &t->arena, &events, &n, &t->reason, &t->e))
        return refuse(t);
    out = cJSON_AddArrayToObject(j, "events");
    for (uint32_t i = 0; i < n; i++)
        (void)cJSON_AddItemToArray(out, event_of(&events[i]));
    print(j);
    return 0;
}

static int read_answer(struct tool *t, int status)
{
    struct wire_answer a;
    cJSON *j, *need, *refused;

    if (wire_answer_decode(status, t->in.data, t->in.len, false, &t->arena, &a, &t->e))
        return refuse(t);
    j = cJSON_CreateObject();
    (void)cJSON_AddItemToObject(j, "epoch", unsigned_number(a.epoch));
    (void)cJSON_AddItemToObject(j, "seq", unsigned_number(a.seq));
    (void)cJSON_AddItemToObject(j, "time", number(a.time));
    (void)cJSON_AddBoolToObject(j, "duplicate", a.duplicate);
    (void)cJSON_AddStringToObject(j, "reason", wire_reason_name(a.reason));
    (void)cJSON_AddStringToObject(j, "error", a.error);
    refused = cJSON_AddObjectToObject(j, "refused");
    for (int i = 0; i < WIRE_REFUSALS; i++)
        (void)cJSON_AddItemToObject(refused, wire_refusal_name((enum wire_refusal)i),
                                    unsigned_number(a.refused[i]));
    need = cJSON_AddArrayToObject(j, "need");
    for (uint32_t i = 0; i < a.n_need; i++)
        (void)cJSON_AddItemToArray(need, hex(a.need[i].b, sizeof a.need[i].b));
    print(j);
    return 0;
}

/* ---- writing ---- */

static const cJSON *member(const cJSON *j, const char *key)
{
    const cJSON *m = cJSON_GetObjectItemCaseSensitive(j, key);

    if (!m)
        die(key);
    return m;
}

static struct wire_str string_of(const cJSON *j)
{
    const char *s = cJSON_GetStringValue(j);

    if (!s)
        die("no string where one is needed");
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

static uint64_t whole(const cJSON *j)
{
    const char *s = string_of(j).p;

    return s[0] == '-' ? (uint64_t)strtoll(s, NULL, 10) : strtoull(s, NULL, 0);
}

static void *take(struct tool *t, size_t n, size_t size)
{
    void *p = arena_array(&t->arena, n, size);

    if (!p)
        die("no memory");
    return p;
}

static struct bytes unhex(struct tool *t, const cJSON *j)
{
    struct wire_str s = string_of(j);
    uint8_t *p = take(t, s.n / 2 + 1, 1);

    for (uint32_t i = 0; i + 1 < s.n; i += 2) {
        char two[3] = {s.p[i], s.p[i + 1], 0};

        p[i / 2] = (uint8_t)strtoul(two, NULL, 16);
    }
    return (struct bytes){p, s.n / 2};
}

static struct wire_hash hash_of(struct tool *t, const cJSON *j)
{
    struct bytes b = unhex(t, j);
    struct wire_hash h = {{0}};

    if (b.n != sizeof h.b)
        die("a hash is not 16 bytes");
    memcpy(h.b, b.p, sizeof h.b);
    return h;
}

static struct wire_label *labels_from(struct tool *t, const cJSON *j, uint32_t *n)
{
    struct wire_label *l = take(t, (size_t)cJSON_GetArraySize(j), sizeof *l);
    const cJSON *m;

    *n = 0;
    cJSON_ArrayForEach(m, j) l[(*n)++] =
        (struct wire_label){{m->string, (uint32_t)strlen(m->string)}, string_of(m)};
    return l;
}

static struct wire_column column_from(struct tool *t, const cJSON *j, const struct wire_series *s, uint32_t n)
{
    int64_t *ints = take(t, n, sizeof *ints);
    double *reals = take(t, n, sizeof *reals);
    struct bytes *sketches = take(t, n, sizeof *sketches);
    uint8_t *present = take(t, (n + 7) / 8, 1);
    const cJSON *values = member(j, "values"), *m;
    uint32_t i = 0;

    cJSON_ArrayForEach(m, values)
    {
        uint64_t u;

        if (i < n && !cJSON_IsNull(m)) {
            present[i / 8] |= (uint8_t)(1U << i % 8);
            if (s->kind == WIRE_SKETCH) {
                sketches[i] = unhex(t, m);
            } else {
                u = whole(m);
                ints[i] = (int64_t)u;
                memcpy(&reals[i], &u, sizeof u);
            }
        }
        i++;
    }
    return (struct wire_column){(uint8_t)whole(member(j, "mode")), ints, reals, sketches, present};
}

static void block_from(struct tool *t, const cJSON *j, struct wire_block_out *b)
{
    const cJSON *start = member(j, "start"), *jitter = member(j, "jitter"), *columns = member(j, "columns"),
                *m;
    struct wire_column *c;
    int32_t *list;
    uint32_t i = 0;

    *b = (struct wire_block_out){.schema = hash_of(t, member(j, "schema")),
                                 .t0 = (int64_t)whole(member(j, "t0"))};
    b->layout = schema_by(t, &b->schema);
    if (!b->layout || cJSON_GetArraySize(columns) != (int)b->layout->n)
        die("a block without its schema or columns");
    b->dt = (uint32_t)whole(member(j, "dt"));
    b->n = (uint32_t)whole(member(j, "n"));
    b->has_start = !cJSON_IsNull(start);
    b->start = b->has_start ? (int64_t)whole(start) : 0;
    if (!cJSON_IsNull(jitter)) {
        list = take(t, b->n, sizeof *list);
        b->jitter = list;
        cJSON_ArrayForEach(m, jitter) list[i++ % b->n] = (int32_t)whole(m);
    }
    c = take(t, b->layout->n, sizeof *c);
    i = 0;
    cJSON_ArrayForEach(m, columns)
    {
        c[i] = column_from(t, m, &b->layout->series[i], b->n);
        i++;
    }
    b->columns = c;
}

static int write_bytes(struct tool *t, int rc, const struct buf *b)
{
    if (rc)
        return refuse(t);
    return fwrite(b->data, 1, b->len, stdout) == b->len ? 0 : 2;
}

static int write_batch(struct tool *t, const cJSON *j)
{
    const cJSON *blocks = member(j, "blocks"), *events = member(j, "events"), *m;
    struct wire_block_out *b = take(t, (size_t)cJSON_GetArraySize(blocks), sizeof *b);
    struct wire_event *ev = take(t, (size_t)cJSON_GetArraySize(events), sizeof *ev);
    struct wire_batch_out out = {.agent = string_of(member(j, "agent")), .blocks = b, .events = ev};
    struct buf frame;
    int rc;

    out.epoch = whole(member(j, "epoch"));
    out.seq = whole(member(j, "seq"));
    out.low = whole(member(j, "low"));
    out.sealed = (int64_t)whole(member(j, "sealed"));
    out.resource = hash_of(t, member(j, "resource"));
    cJSON_ArrayForEach(m, blocks) block_from(t, m, &b[out.n_blocks++]);
    cJSON_ArrayForEach(m, events)
    {
        struct wire_event *x = &ev[out.n_events++];

        *x = (struct wire_event){(int64_t)whole(member(m, "t")),
                                 string_of(member(m, "kind")),
                                 string_of(member(m, "name")),
                                 string_of(member(m, "text")),
                                 NULL,
                                 0};
        x->labels = labels_from(t, member(m, "labels"), &x->n_labels);
    }
    buf_init(&frame, NULL, CAP);
    rc = wire_batch_encode(&out, &t->text, &t->e);
    if (!rc)
        rc = wire_deflate(t->codec, t->text.data, t->text.len, &frame, &t->e);
    t->reason = WIRE_MALFORMED;
    rc = write_bytes(t, rc, &frame);
    buf_free(&frame);
    return rc;
}

static int write_definition(struct tool *t, const cJSON *j)
{
    struct wire_resource r;
    struct wire_schema s = {0};
    const cJSON *m;
    int rc;

    t->reason = WIRE_DEFINITION;
    if (cJSON_IsObject(j)) {
        r.labels = labels_from(t, j, &r.n_labels);
        rc = wire_resource_encode(&r, &t->text, &t->e);
        return write_bytes(t, rc, &t->text);
    }
    s.series = take(t, (size_t)cJSON_GetArraySize(j), sizeof *s.series);
    cJSON_ArrayForEach(m, j)
    {
        struct wire_series *x = &s.series[s.n++];

        x->name = string_of(cJSON_GetArrayItem(m, 0));
        x->kind = (enum wire_kind)cJSON_GetArrayItem(m, 1)->valueint;
        x->mul = (uint32_t)cJSON_GetArrayItem(m, 2)->valuedouble;
        x->div = (uint32_t)cJSON_GetArrayItem(m, 3)->valuedouble;
        x->labels = labels_from(t, cJSON_GetArrayItem(m, 4), &x->n_labels);
        x->help = string_of(cJSON_GetArrayItem(m, 5));
    }
    rc = wire_schema_encode(&s, &t->text, &t->e);
    return write_bytes(t, rc, &t->text);
}

static double double_from(const cJSON *j)
{
    uint64_t u = whole(j);
    double v;

    memcpy(&v, &u, sizeof v);
    return v;
}

/* Records the values, writes the sketch and asks for quantiles. */
static int write_sketch(struct tool *t, const cJSON *j)
{
    cJSON *out = cJSON_CreateObject(), *answers = cJSON_AddArrayToObject(out, "q");
    const cJSON *m;
    struct sketch s;

    sketch_init(&s, NULL);
    cJSON_ArrayForEach(m, member(j, "values"))
    {
        if (sketch_add(&s, double_from(cJSON_GetArrayItem(m, 0)), whole(cJSON_GetArrayItem(m, 1))))
            die("a value is not finite");
    }
    if (sketch_encode(&s, &t->text))
        die("no memory");
    (void)cJSON_AddItemToObject(out, "sketch", hex(t->text.data, t->text.len));
    cJSON_ArrayForEach(m, member(j, "q"))(void)
        cJSON_AddItemToArray(answers, real(sketch_quantile(&s, double_from(m))));
    print(out);
    sketch_free(&s);
    return 0;
}

static void load_schema(struct tool *t, const char *path)
{
    FILE *f = fopen(path, "rb");
    struct wire_definition d;
    struct buf b;
    uint8_t *kept;

    if (!f || t->n_schemas == SCHEMAS)
        die(path);
    buf_init(&b, NULL, CAP);
    read_all(f, &b);
    (void)fclose(f);
    kept = take(t, b.len, 1);
    memcpy(kept, b.data, b.len);
    if (wire_definition_decode(kept, b.len, &t->arena, &d, &t->reason, &t->e) || d.sort != WIRE_SORT_SCHEMA)
        die("not a schema");
    t->hashes[t->n_schemas] = wire_hash_of(kept, b.len);
    t->schemas[t->n_schemas++] = d.schema;
    buf_free(&b);
}

static int run(struct tool *t, const char *verb, const char *arg)
{
    cJSON *j = NULL;
    int rc = 2;

    if (!strncmp(verb, "write-", 6)) {
        j = cJSON_ParseWithLength((const char *)t->in.data, t->in.len);
        if (!j)
            die("the input is no JSON");
    }
    if (!strcmp(verb, "read-definition"))
        rc = read_definition(t);
    else if (!strcmp(verb, "read-request"))
        rc = read_request(t);
    else if (!strcmp(verb, "read-batch"))
        rc = read_batch(t);
    else if (!strcmp(verb, "read-answer") && arg)
        rc = read_answer(t, (int)strtol(arg, NULL, 10));
    else if (!strcmp(verb, "write-batch"))
        rc = write_batch(t, j);
    else if (!strcmp(verb, "write-sketch"))
        rc = write_sketch(t, j);
    else if (!strcmp(verb, "write-definition"))
        rc = write_definition(t, j);
    cJSON_Delete(j);
    return rc;
}

int main(int argc, char **argv)
{
    static struct tool t;
    int rc;

    if (argc < 2)
        die("which verb?");
    buf_init(&t.in, NULL, CAP);
    buf_init(&t.text, NULL, CAP);
    arena_init(&t.arena, NULL, 0);
    t.codec = wire_codec_new(3);
    for (int i = 2; strstr(argv[1], "-batch") && i < argc; i++)
        load_schema(&t, argv[i]);
    read_all(stdin, &t.in);
    rc = run(&t, argv[1], argc > 2 ? argv[2] : NULL);
    arena_free(&t.arena);
    buf_free(&t.in);
    buf_free(&t.text);
    wire_codec_free(&t.codec);
    return rc;
}
