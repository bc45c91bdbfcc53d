/* What an alert needs to go on after a restart, as a record: key "alert/" and its fingerprint, value JSON with a
 * version. A record is written when the state changes, and while a hold runs each time that it has grown by an
 * eighth (at least 10 s), so that a restart forgets no more than that. */
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "aggregator/alert/baseline.h"
#include "aggregator/alert/state.h"

enum { RECORD_VERSION = 1, KEY_SIZE = 6 + 32 };

static void key_of(const struct alert *al, char out[KEY_SIZE + 1])
{
    memcpy(out, "alert/", 6);
    fingerprint_text(&al->id, out + 6);
}

static void add_labels(cJSON *to, const char *name, struct labels l)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);

    for (uint32_t i = 0; o && i < l.n; i++)
        cJSON_AddStringToObject(o, l.v[i].name, l.v[i].value);
}

static void add(cJSON *to, const char *name, double v)
{
    if (isfinite(v))
        cJSON_AddNumberToObject(to, name, v);
}

static const char digits[] = "0123456789abcdef";

static void hash_text(uint64_t hash, char out[17])
{
    for (int i = 0; i < 16; i++)
        out[i] = digits[hash >> (60 - 4 * i) & 15];
    out[16] = 0;
}

static void add_baseline(cJSON *to, const struct baseline *b)
{
    struct buf bytes;
    char *hex;

    buf_init(&bytes, NULL, BASELINE_BYTES_MOST);
    hex = baseline_encode(b, &bytes) == 0 ? mem_alloc(NULL, 2 * bytes.len + 1) : NULL;
    if (hex) {
        for (size_t i = 0; i < bytes.len; i++) {
            hex[2 * i] = digits[bytes.data[i] >> 4];
            hex[2 * i + 1] = digits[bytes.data[i] & 15];
        }
        cJSON_AddStringToObject(to, "baseline", hex);
        mem_free(NULL, hex, 2 * bytes.len + 1);
    }
    buf_free(&bytes);
}

static cJSON *write(const struct alert *al)
{
    cJSON *o = cJSON_CreateObject();

    if (!o)
        return NULL;
    add(o, "v", RECORD_VERSION);
    cJSON_AddStringToObject(o, "rule", al->rule);
    add_labels(o, "group", al->group);
    add_labels(o, "labels", al->labels);
    cJSON_AddStringToObject(o, "severity", severity_name(al->severity));
    cJSON_AddStringToObject(o, "state", alert_state_name(al->state));
    add(o, "row", al->row);
    add(o, "since", (double)al->since);
    add(o, "mark", (double)al->mark);
    add(o, "held", (double)al->held);
    add(o, "changed", (double)al->changed);
    add(o, "seen", (double)al->seen);
    add(o, "data", (double)al->data);
    add(o, "epoch", (double)al->epoch);
    add(o, "value", al->m.value);
    add(o, "threshold", al->m.threshold);
    add(o, "points", al->points);
    add(o, "n_points", al->n_points);
    add(o, "point", (double)al->point);
    add(o, "fires", al->fires);
    add(o, "ended", (double)al->ended);
    add(o, "flapping", al->flapping);
    add(o, "mute", alert_in_force(al->state) ? al->mute : MUTE_NOT);
    add(o, "muted_from", (double)al->muted_from);
    add(o, "told", al->told && alert_in_force(al->state));
    add(o, "summary", al->summary);
    if (al->baseline)
        add_baseline(o, al->baseline);
    if (al->of) {
        char hash[17];

        hash_text(al->of->rule->groups_hash, hash);
        cJSON_AddStringToObject(o, "groups", hash);
        hash_text(al->of->rule->condition_hash, hash);
        cJSON_AddStringToObject(o, "condition", hash);
    }
    return o;
}

void alert_record(const struct turn *t, struct alert *al)
{
    char key[KEY_SIZE + 1];
    cJSON *o;
    char *text;

    if (al->state == ALERT_INACTIVE && !al->points && !al->fires && !al->baseline) {
        alert_record_delete(t, al);
        al->stored = -1;
        al->dirty = false;
        return;
    }
    o = write(al);
    text = o ? cJSON_PrintUnformatted(o) : NULL;
    cJSON_Delete(o);
    if (!text) {
        t->a->no_memory++;
        return;
    }
    key_of(al, key);
    t->a->records++;
    t->out->record(t->out->arg, (struct bytes){(const uint8_t *)key, KEY_SIZE},
                   (struct bytes){(const uint8_t *)text, strlen(text)});
    cJSON_free(text);
    al->stored = al->held;
    al->dirty = false;
}

void alert_record_delete(const struct turn *t, const struct alert *al)
{
    char key[KEY_SIZE + 1];

    if (al->stored < 0)
        return;
    key_of(al, key);
    t->a->records++;
    t->out->record(t->out->arg, (struct bytes){(const uint8_t *)key, KEY_SIZE}, (struct bytes){NULL, 0});
}

/* ---- restoring ---- */

static double number(const cJSON *o, const char *name, double otherwise)
{
    const cJSON *x = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsNumber(x) && isfinite(cJSON_GetNumberValue(x)) ? cJSON_GetNumberValue(x) : otherwise;
}

/* Wall milliseconds and the like; what lies beyond the numbers that a double counts exactly is 0. */
static int64_t whole(const cJSON *o, const char *name)
{
    double v = number(o, name, 0);

    return v > -9e15 && v < 9e15 ? (int64_t)v : 0;
}

static uint32_t small(const cJSON *o, const char *name)
{
    double v = number(o, name, 0);

    return v >= 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static const char *text(const cJSON *o, const char *name)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return s ? s : "";
}

static bool read_labels(const cJSON *o, const char *name, struct label *v, struct labels *out)
{
    const cJSON *set = cJSON_GetObjectItemCaseSensitive(o, name);
    uint32_t n = 0;

    if (!cJSON_IsObject(set) || cJSON_GetArraySize(set) > ALERT_LABELS_MOST)
        return false;
    for (const cJSON *x = set->child; x; x = x->next) {
        const char *value = cJSON_GetStringValue(x);

        if (!x->string || !value)
            return false;
        v[n++] = (struct label){x->string, value};
    }
    labels_sort(v, n);
    *out = (struct labels){v, n};
    return true;
}

static bool read_state(const cJSON *o, enum alert_state *out)
{
    for (int s = 0; s < ALERT_STATES; s++) {
        if (!strcmp(text(o, "state"), alert_state_name((enum alert_state)s))) {
            *out = (enum alert_state)s;
            return true;
        }
    }
    return false;
}

/* One that can not be read is learnt anew. */
static void read_baseline(struct alerts *a, struct alert *al, const char *hex)
{
    size_t n = strlen(hex);
    struct buf bytes;

    if (!n || n % 2 || n > 2 * BASELINE_BYTES_MOST)
        return;
    buf_init(&bytes, NULL, BASELINE_BYTES_MOST);
    for (size_t i = 0; i < n; i += 2) {
        const char *high = memchr(digits, hex[i], 16), *low = memchr(digits, hex[i + 1], 16);

        if (high && low)
            buf_u8(&bytes, (uint8_t)((high - digits) << 4 | (low - digits)));
    }
    if (bytes.len != n / 2 || baseline_decode(buf_bytes(&bytes), a->mem, &al->baseline, NULL) != 0)
        a->damaged++;
    buf_free(&bytes);
}

static void fill_in(struct alert *al, const cJSON *o)
{
    enum alert_state s = ALERT_INACTIVE;

    (void)read_state(o, &s);
    alert_state_set(al, s);
    al->row = (int)small(o, "row");
    al->since = whole(o, "since");
    al->mark = whole(o, "mark");
    al->held = whole(o, "held");
    al->changed = whole(o, "changed");
    al->seen = whole(o, "seen");
    al->data = whole(o, "data");
    al->epoch = (uint64_t)(whole(o, "epoch") > 0 ? whole(o, "epoch") : 0);
    al->m = (struct measured){.value = number(o, "value", NAN),
                              .threshold = number(o, "threshold", NAN),
                              .t = al->data,
                              .verdict = VERDICT_NONE,
                              .why = "not measured since the restart"};
    al->points = small(o, "points");
    al->n_points = small(o, "n_points");
    al->point = whole(o, "point");
    al->fires = small(o, "fires");
    al->ended = whole(o, "ended");
    al->flapping = whole(o, "flapping") != 0;
    al->mute = small(o, "mute") <= MUTE_LIMIT ? (enum mute)small(o, "mute") : MUTE_NOT;
    al->muted_from = whole(o, "muted_from");
    al->told = whole(o, "told") != 0;
    al->summary = whole(o, "summary") != 0;
    al->resumed = true;
    al->stored = al->held;
}

static bool same_hash(const cJSON *o, const char *name, uint64_t hash)
{
    char own[17];

    hash_text(hash, own);
    return !strcmp(text(o, name), own);
}

static int restore(struct alerts *a, const cJSON *o, struct err *e)
{
    struct label group[ALERT_LABELS_MOST], all[ALERT_LABELS_MOST];
    struct labels g, l;
    const struct rule *r = rules_find(&a->rules, text(o, "rule"));
    enum severity severity;
    enum alert_state s;
    struct alert *al;

    if (whole(o, "v") != RECORD_VERSION)
        return err_set(e, ERR_VERSION, "a record of an alert has another version");
    if (!*text(o, "rule") || !read_labels(o, "group", group, &g) || !read_labels(o, "labels", all, &l) ||
        !read_state(o, &s) || severity_parse(text(o, "severity"), &severity) != 0)
        return err_set(e, ERR_MALFORMED, "a record of an alert is damaged");
    al = alert_make_orphan(a, text(o, "rule"), g, l, severity);
    if (!al)
        return err_set(e, ERR_NOMEM, "no memory for an alert, or it was restored already");
    fill_in(al, o);
    read_baseline(a, al, text(o, "baseline"));
    a->restored++;
    if (!r || !same_hash(o, "groups", r->groups_hash)) {
        al->gone = true;
        return 0;
    }
    a->orphans = al->next;
    rule_state_adopt(a, &a->states[r - a->rules.v], al, !same_hash(o, "condition", r->condition_hash));
    return 0;
}

int alerts_restore(struct alerts *a, struct bytes key, struct bytes value, struct err *e)
{
    cJSON *o;
    int rc;

    if (key.n != KEY_SIZE || memcmp(key.p, "alert/", 6) != 0) {
        a->foreign++;
        a->damaged++;
        return err_set(e, ERR_NOTFOUND, "no record of an alert");
    }
    o = cJSON_ParseWithLength((const char *)value.p, value.n);
    rc = o ? restore(a, o, e) : err_set(e, ERR_MALFORMED, "a record of an alert is no JSON");
    cJSON_Delete(o);
    if (rc)
        a->damaged++;
    return rc;
}
