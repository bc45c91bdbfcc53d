/* sbctl test-rules and replay: trying rules, on written series without an aggregator, or on the stored steps of one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/alert/trial.h"
#include "aggregator/ctl/ctl.h"
#include "aggregator/ctl/past.h"
#include "common/net/loop.h"

enum { FILE_MOST = 4 << 20, REPORT_MOST = 4 << 20 };

static int read_file(const char *path, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    char part[8192];
    size_t n;
    int rc = 0;

    if (!f)
        return err_sys(e, ERR_IO, errno, "%s", path);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_put(out, part, n);
    if (ferror(f))
        rc = err_sys(e, ERR_IO, errno, "%s", path);
    else if (out->full)
        rc = err_set(e, ERR_LIMIT, "%s: larger than %d MiB", path, FILE_MOST >> 20);
    (void)fclose(f);
    return rc;
}

/* ---- test-rules ---- */

/* arg: the test file, whose folder relative names begin in. */
static int load(void *arg, const char *name, struct buf *out, struct err *e)
{
    const char *file = arg, *slash = strrchr(file, '/');
    char path[4096];

    if (*name == '/' || !slash)
        (void)snprintf(path, sizeof path, "%s", name);
    else
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)(slash - file), file, name);
    return read_file(path, out, e);
}

static int test_file(char *path, struct trial_result *r, struct buf *report, struct err *e)
{
    struct trial_params p = {.load = load, .arg = path};
    struct buf text;
    int rc;

    buf_init(&text, NULL, FILE_MOST);
    rc = read_file(path, &text, e);
    p.file = (struct config_source){path, buf_bytes(&text)};
    rc = rc ? rc : trial_run(&p, r, report, e);
    buf_free(&text);
    return rc;
}

static void show_result(const char *path, const struct trial_result *r, cJSON *list)
{
    cJSON *o = cJSON_CreateObject();

    if (!list) {
        (void)printf("%s: %u tests, %u expectations, %u not met\n", path, r->tests, r->expectations,
                     r->failed);
        cJSON_Delete(o);
        return;
    }
    cJSON_AddStringToObject(o, "file", path);
    cJSON_AddNumberToObject(o, "tests", r->tests);
    cJSON_AddNumberToObject(o, "expectations", r->expectations);
    cJSON_AddNumberToObject(o, "failed", r->failed);
    cJSON_AddItemToArray(list, o);
}

int ctl_test_rules(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    unsigned failed = 0, all = 0;
    struct buf report;
    cJSON *list = o->json ? cJSON_CreateArray() : NULL;
    char *text = NULL;
    int rc = argc ? 0 : err_set(e, ERR_CONFIG, "the name of a file of tests is expected");

    (void)c;
    buf_init(&report, NULL, REPORT_MOST);
    for (int i = 0; i < argc && !rc; i++) {
        struct trial_result r = {0};

        buf_clear(&report);
        rc = test_file(argv[i], &r, &report, e);
        (void)fputs(buf_text(&report), stderr);
        if (!rc)
            show_result(argv[i], &r, list);
        failed += r.failed;
        all += r.expectations;
    }
    if (list && !rc)
        text = cJSON_PrintUnformatted(list);
    if (text)
        (void)printf("%s\n", text);
    cJSON_free(text);
    cJSON_Delete(list);
    buf_free(&report);
    if (rc == ERR_CONFIG && argc)
        return ERR_MALFORMED; /* a file is wrong, not the command line */
    return rc || !failed ? rc : err_set(e, ERR_STATE, "%u of %u expectations were not met", failed, all);
}

/* ---- replay ---- */

struct asking {
    struct ctl *c;
    const struct selections *list; /* whose past this is */
    struct past *past;
    struct wall asked; /* up to where it was asked for */
    struct buf path, answer;
    uint64_t left_out;
};

enum { STEPS_BACK_MS = FACT_HOUR_MS, MINUTES_BACK_MS = 3 * FACT_DAY_MS + 2 * FACT_HOUR_MS };

/* One question, in halves where its answer would be too large. */
static int ask(struct asking *k, uint32_t number, struct wall from, struct wall to, enum fact_tier tier,
               struct err *e)
{
    struct wall middle = {from.ms + (to.ms - from.ms) / 2 / FACT_MINUTE_MS * FACT_MINUTE_MS};
    int rc;

    past_path(&k->path, selections_at(k->list, number), from, to, tier);
    rc = ctl_get(k->c, buf_text(&k->path), &k->answer, e);
    if (!rc)
        return past_take(k->past, number, from, tier, buf_text(&k->answer), e);
    if (!strstr(e->text, "ask for longer") || middle.ms <= from.ms)
        return rc;
    rc = ask(k, number, from, middle, tier, e);
    return rc ? rc : ask(k, number, middle, to, tier, e);
}

/* Asks all selections, in pieces that an answer has room for. */
static int ask_all(struct asking *k, struct wall from, struct wall to, enum fact_tier tier, struct span piece,
                   struct err *e)
{
    int rc = 0;

    for (struct wall at = from; at.ms < to.ms && !rc; at = wall_add(at, piece)) {
        struct wall end = wall_add(at, piece);

        for (uint32_t i = 0; i < selections_count(k->list) && !rc; i++)
            rc = ask(k, i, at, end.ms < to.ms ? end : to, tier, e);
    }
    return rc;
}

static struct wall hour_of(int64_t ms)
{
    return (struct wall){ms / FACT_HOUR_MS * FACT_HOUR_MS};
}

/* What lies before the beginning: long ago in hours, then in minutes, then in steps. */
static int ask_before(struct asking *k, struct wall from, struct wall to, struct err *e)
{
    struct wall steps = hour_of(to.ms - STEPS_BACK_MS), minutes = hour_of(to.ms - MINUTES_BACK_MS),
                oldest = hour_of(from.ms);
    int rc = ask_all(k, oldest, minutes, TIER_HOUR, span_s(7 * 86400), e);

    rc = rc ? rc
            : ask_all(k, minutes.ms > oldest.ms ? minutes : oldest, steps, TIER_MINUTE, span_s(3 * 3600), e);
    rc = rc ? rc : ask_all(k, steps.ms > oldest.ms ? steps : oldest, to, TIER_STEP, span_s(3600), e);
    k->asked = to;
    return rc;
}

/* Called once for what lies before the beginning, then step by step: asked for an hour at a time. */
static int tell(void *arg, const struct selections *list, struct facts *into, struct wall from,
                struct wall to, struct err *e)
{
    struct asking *k = arg;
    struct wall ahead = wall_add(k->asked, span_s(3600));
    int rc = 0;

    if (k->list != list) {
        k->left_out += k->past ? past_left_out(k->past) : 0;
        past_free(&k->past);
        k->list = list;
        k->past = past_new(list, NULL);
        if (!k->past)
            return err_set(e, ERR_NOMEM, "no memory for a replay");
        rc = ask_before(k, from, to, e);
    } else if (to.ms > k->asked.ms) {
        rc = ask_all(k, k->asked, ahead, TIER_STEP, span_s(3600), e);
        k->asked = ahead;
    }
    return rc ? rc : past_tell(k->past, into, to, e);
}

static struct config *read_rules(const char *path, struct err *e)
{
    struct config_source s = {.name = path};
    struct buf text, report;
    struct config *c = NULL;

    buf_init(&text, NULL, FILE_MOST);
    buf_init(&report, NULL, REPORT_MOST);
    if (read_file(path, &text, e) == 0) {
        s.text = buf_bytes(&text);
        c = config_parse(&s, 1, &alert_section, 1, &report, e);
        if (c && alert_check(c, NULL, NULL, &report, e) != 0)
            config_free(&c);
        (void)fputs(buf_text(&report), stderr);
    }
    buf_free(&text);
    buf_free(&report);
    return c;
}

int ctl_replay(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct replay_params p = {.step = span_s(10), .region = "replay", .tell = tell};
    struct asking k = {.c = c};
    struct config *before = NULL, *after = NULL;
    struct wall now = clock_wall();
    struct buf json;
    int rc = 0;

    if (argc > 1 || !o->rules || !o->from)
        return err_set(
            e, ERR_CONFIG,
            "replay: expected --rules FILE --from TIME [--to TIME], perhaps the file of the rules as "
            "they are");
    buf_init(&k.path, NULL, 64 << 10);
    buf_init(&k.answer, NULL, 64 << 20);
    buf_init(&json, NULL, 64 << 20);
    p.arg = &k;
    rc = past_time("--from", o->from, now, &p.from, e);
    p.from = hour_of(p.from.ms); /* steps of all tiers begin there */
    rc = rc ? rc : past_time("--to", o->to ? o->to : "now", now, &p.to, e);
    if (!rc && !(after = read_rules(o->rules, e)))
        rc = ERR_MALFORMED;
    if (!rc && argc && !(before = read_rules(argv[0], e)))
        rc = ERR_MALFORMED;
    p.before = before;
    p.after = after;
    rc = rc ? rc : trial_replay(&p, &json, e);
    if (!rc)
        ctl_print(&json);
    if (!rc)
        (void)printf("\n");
    k.left_out += k.past ? past_left_out(k.past) : 0;
    past_free(&k.past);
    if (k.left_out)
        (void)fprintf(stderr,
                      "sbctl: %llu steps of sketches were left out: their values are not in the answers\n",
                      (unsigned long long)k.left_out);
    config_free(&before);
    config_free(&after);
    buf_free(&k.path);
    buf_free(&k.answer);
    buf_free(&json);
    return rc;
}
