/* sbctl: drills, and the journal of what was decided and done. The journal is checked here, not at the aggregator: who checks
 * a chain should not be the one who wrote it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/ctl/ctl.h"
#include "aggregator/failover/journal.h"

enum { PATH_MOST = 16384, JOURNAL_MOST = 64 << 20, TAIL = 20, EXPORT = 10000 };

/* ---- drills ---- */

static void show_drills(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {
        {"DRILL", "drill"}, {"SERVICE", "service"},   {"KIND", "kind"}, {"PHASE", "phase"},
        {"NEXT", "next"},   {"LAST", "last_outcome"}, {"TEXT", "text"}, {NULL, NULL}};

    show_list(cJSON_GetObjectItemCaseSensitive(a, "drills"), columns, "No drill: there is no [drill NAME].",
              out);
}

static void show_drill_report(const cJSON *a, struct buf *out)
{
    static const struct column columns[] = {{"DRILL", "drill"},         {"KIND", "kind"},
                                            {"BEGAN", "began"},         {"OUTCOME", "outcome"},
                                            {"OUT S", "out_seconds"},   {"BACK S", "back_seconds"},
                                            {"LOST S", "loss_seconds"}, {"WHO", "who"},
                                            {"TEXT", "text"},           {NULL, NULL}};
    double n = json_number(a, "full");

    show_list(cJSON_GetObjectItemCaseSensitive(a, "runs"), columns, "No drill has been run yet.", out);
    if (n > 0)
        buf_fmt(out,
                "\nFull drills that moved: %.0f of %.0f were good: between %.1f %% and %.1f %% (95 %% "
                "interval of Wilson).\n",
                json_number(a, "good"), n, 100 * json_number(a, "wilson_low"),
                100 * json_number(a, "wilson_high"));
    buf_fmt(out, "Refused before anything moved: %.0f. Evaluations: %.0f.\n", json_number(a, "refused"),
            json_number(a, "evaluations"));
}

static int act(struct ctl *c, const struct ctl_options *o, const char *name, const char *what,
               const char *said, struct err *e)
{
    cJSON *body = cJSON_CreateObject();
    struct buf path;
    int rc;

    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/drills");
    path_part(&path, name);
    buf_fmt(&path, "/%s", what);
    rc = ctl_order(c, o, "POST", buf_text(&path), &body, said, e);
    buf_free(&path);
    return rc;
}

int ctl_drill(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct buf path;
    int rc;

    if (argc == 0 || ctl_verb("list", argc, argv, 0))
        return ctl_fetch(c, o, "/api/v1/drills", show_drills, e);
    if (ctl_verb("run", argc, argv, 1))
        return act(c, o, argv[1], "run", "the drill has begun: sbctl drill list", e);
    if (ctl_verb("abort", argc, argv, 1))
        return act(c, o, argv[1], "abort", "it is taken back where that is still possible: sbctl drill list",
                   e);
    if (!ctl_verb("report", argc, argv, 0) && !ctl_verb("report", argc, argv, 1))
        return err_set(e, ERR_CONFIG, "expected list, report [DRILL], run DRILL or abort DRILL");
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/drills/report");
    path_add(&path, "drill", argc == 2 ? argv[1] : NULL);
    path_add(&path, "from", o->from);
    rc = ctl_fetch(c, o, buf_text(&path), show_drill_report, e);
    buf_free(&path);
    return rc;
}

/* ---- the journal ---- */

static int read_file(const char *name, struct buf *out, struct err *e)
{
    char block[65536];
    FILE *f = fopen(name, "rb");
    size_t n;

    if (!f)
        return err_sys(e, ERR_IO, errno, "%s", name);
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        buf_put(out, block, n);
    (void)fclose(f);
    return out->full ? err_set(e, ERR_LIMIT, "%s: at most %d MiB are read", name, JOURNAL_MOST >> 20) : 0;
}

static int fetch(struct ctl *c, const char *named, int limit, struct buf *out, struct err *e)
{
    char service[128];
    struct buf path;
    int rc = ctl_service(c, named, service, e);

    if (rc)
        return rc;
    buf_init(&path, NULL, PATH_MOST);
    buf_str(&path, "/api/v1/failover");
    path_part(&path, service);
    buf_fmt(&path, "/journal?limit=%d", limit);
    rc = ctl_get(c, buf_text(&path), out, e);
    buf_free(&path);
    return rc;
}

static void show_line(const char *text, size_t n, struct buf *out)
{
    cJSON *l = cJSON_ParseWithLength(text, n);

    if (l)
        buf_fmt(out, "%s  %-10s %s%s%s\n", json_text(l, "t"), json_text(l, "phase"), json_text(l, "step"),
                *json_text(l, "step") ? ": " : "", json_text(l, "text"));
    cJSON_Delete(l);
}

static void show_lines(const struct buf *lines, struct buf *out)
{
    const char *p = (const char *)lines->data, *end = p + lines->len;

    while (p && p < end) {
        const char *line = p, *newline = memchr(p, '\n', (size_t)(end - p));

        p = newline ? newline + 1 : end;
        show_line(line, (size_t)((newline ? newline : end) - line), out);
    }
}

static int tail(struct ctl *c, const struct ctl_options *o, const char *service, struct err *e)
{
    struct buf lines, out;
    int rc;

    buf_init(&lines, NULL, JOURNAL_MOST);
    buf_init(&out, NULL, JOURNAL_MOST);
    rc = fetch(c, service, TAIL, &lines, e);
    if (rc == 0 && !o->json)
        show_lines(&lines, &out);
    if (rc == 0)
        ctl_print(o->json ? &lines : &out);
    buf_free(&lines);
    buf_free(&out);
    return rc;
}

static int export(struct ctl *c, const char *service, struct err *e)
{
    struct buf lines;
    int rc;

    buf_init(&lines, NULL, JOURNAL_MOST);
    rc = fetch(c, service, EXPORT, &lines, e);
    if (rc == 0)
        ctl_print(&lines);
    buf_free(&lines);
    return rc;
}

static int verify_one(const struct buf *text, struct err *e)
{
    struct fo_journal_report r;
    struct buf out;

    if (fo_journal_verify(buf_bytes(text), &r) != 0)
        return err_set(e, ERR_MALFORMED, "line %llu is bad: %s; the %llu before it are good",
                       (unsigned long long)r.bad, r.why, (unsigned long long)r.good);
    buf_init(&out, NULL, PATH_MOST);
    buf_fmt(&out, "the chain holds: %llu lines, %llu to %llu\n", (unsigned long long)r.good,
            (unsigned long long)r.first, (unsigned long long)r.last);
    ctl_print(&out);
    buf_free(&out);
    return 0;
}

static int compare(const struct buf *a, const struct buf *b, struct err *e)
{
    struct fo_journal_difference d;
    struct buf out;
    int rc = fo_journal_compare(buf_bytes(a), buf_bytes(b), &d);

    if (rc == ERR_MALFORMED)
        return err_set(e, rc, "a chain is broken: line %llu of the first (%s), line %llu of the second (%s)",
                       (unsigned long long)d.a.bad, d.a.why, (unsigned long long)d.b.bad, d.b.why);
    if (rc)
        return err_set(e, rc,
                       "they differ at number %llu: one of them was rewritten, or the store had two lives",
                       (unsigned long long)d.seq);
    buf_init(&out, NULL, PATH_MOST);
    buf_fmt(&out, "both chains hold and agree: %llu lines are the same, %llu and %llu are in one alone\n",
            (unsigned long long)d.same, (unsigned long long)d.only_a, (unsigned long long)d.only_b);
    ctl_print(&out);
    buf_free(&out);
    return 0;
}

/* Files, or else what this aggregator has. */
static int verify(struct ctl *c, int argc, char **argv, struct err *e)
{
    struct buf a, b;
    int rc;

    buf_init(&a, NULL, JOURNAL_MOST);
    buf_init(&b, NULL, JOURNAL_MOST);
    rc = argc ? read_file(argv[0], &a, e) : fetch(c, NULL, EXPORT, &a, e);
    if (rc == 0 && argc == 2)
        rc = read_file(argv[1], &b, e);
    if (rc == 0)
        rc = argc == 2 ? compare(&a, &b, e) : verify_one(&a, e);
    buf_free(&a);
    buf_free(&b);
    return rc;
}

int ctl_journal(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    if (argc == 0 || ctl_verb("tail", argc, argv, 0) || ctl_verb("tail", argc, argv, 1))
        return tail(c, o, argc == 2 ? argv[1] : NULL, e);
    if (ctl_verb("export", argc, argv, 0) || ctl_verb("export", argc, argv, 1))
        return export(c, argc == 2 ? argv[1] : NULL, e);
    if (strcmp(argv[0], "verify") == 0 && argc <= 3)
        return verify(c, argc - 1, argv + 1, e);
    return err_set(e, ERR_CONFIG, "expected tail [SERVICE], export [SERVICE], or verify [FILE [FILE]]");
}
