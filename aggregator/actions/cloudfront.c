/* CloudFront: the origin to which a distribution's behaviours lead. REST, XML, version 2020-05-31.
 *
 * The configuration is read with its ETag, the identifiers and the comment are replaced in the very text that came, and it is
 * sent back whole with If-Match: who has written since makes it fail (412), so it is a compare and swap, and nothing else in it
 * can change. The comment carries the mark of the move. CloudFront then takes minutes to tell its edges: the probe is
 * `progress` until the distribution is Deployed. Its API lives in one region of AWS (us-east-1): where that is the one that
 * may be lost, an origin group of the distribution switches without an API, and this belongs into the step tidy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "aggregator/actions/aws_io.h"
#include "aggregator/actions/cloudfront_text.h"
#include "aggregator/actions/xml.h"
#include "common/config/copies.h"

enum { ORIGINS = 8, ID_MOST = 128, ETAG = 128, ARENA_MOST = 32 << 20, CONFIG_MOST = 2 << 20 };

struct origin {
    char *region, *id;
};
struct action_target {
    struct action_aws keys;
    char *base, *distribution;
    struct origin origins[ORIGINS];
    size_t n_origins;
};

static const struct option_row rows[] = {
    {.key = "distribution",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "Identifier of the distribution: E2EXAMPLE1."},
    {.key = "origins",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = ORIGINS,
     .sentence =
         "Identifier of each region's origin, or origin group, in the distribution: us-east-1=lb-east. "
         "Behaviours that lead to others are left."},
    ACTION_ROW_URL,
    ACTION_ROWS_AWS,
    ACTION_ROWS_TLS,
};

struct job {
    const struct action_target *t;
    const struct action_order *o;
    struct action_result *out;
    struct mono until;
    struct arena a;
    char code[ACTION_AWS_CODE];
    const char *want, *other; /* origins of the operation */
    struct bytes config;
    char etag[ETAG];
    struct cloudfront_state s;
};

/* ---- calls ---- */

static void take_etag(struct job *j, struct bytes headers)
{
    const char *p = (const char *)headers.p, *end = p + headers.n;

    j->etag[0] = 0;
    while (p < end) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((eol ? eol : end) - p);

        if (n > 5 && strncasecmp(p, "etag:", 5) == 0) {
            size_t skip = 5;

            while (skip < n && (p[skip] == ' ' || p[skip] == '\t'))
                skip++;
            while (n > skip && (p[n - 1] == '\r' || p[n - 1] == ' '))
                n--;
            if (n - skip < sizeof j->etag)
                (void)snprintf(j->etag, sizeof j->etag, "%.*s", (int)(n - skip), p + skip);
        }
        p = eol ? eol + 1 : end;
    }
}

/* GET, or PUT of body with If-Match. */
static bool call(struct job *j, const char *suffix, const struct buf *body, const char *what,
                 struct bytes *answer)
{
    struct http_header match = {"If-Match", j->etag};
    char path[64 + ID_MOST];
    struct action_aws_call c = {.method = body ? "PUT" : "GET",
                                .base = j->t->base,
                                .path = path,
                                .service = "cloudfront",
                                .region = "us-east-1",
                                .content_type = body ? "application/xml" : NULL,
                                .headers = &match,
                                .n_headers = body ? 1 : 0,
                                .body = body ? buf_bytes(body) : (struct bytes){0},
                                .collect_headers = true,
                                .max_answer = CONFIG_MOST};
    struct action_answer ans;
    struct err e = {0};

    j->code[0] = 0;
    (void)snprintf(path, sizeof path, "/2020-05-31/distribution/%s%s", j->t->distribution, suffix);
    if (action_aws(&j->t->keys, &c, mono_sub(j->until, clock_mono()), &j->a, &ans, &e) != 0) {
        action_say(j->out, e.code == ERR_TLS ? ACTION_DENIED : ACTION_RETRY, "%s: %s", what, e.text);
        return false;
    }
    action_aws_judge(&ans, body != NULL, what, j->code, j->out);
    if (j->out->class != ACTION_OK)
        return false;
    *answer = ans.http.body;
    if (!body)
        take_etag(j, ans.http.headers);
    return true;
}

/* ---- what is true ---- */

static const char *origin_of(const struct action_target *t, const char *region)
{
    for (size_t i = 0; i < t->n_origins; i++)
        if (strcmp(t->origins[i].region, region) == 0)
            return t->origins[i].id;
    return NULL;
}

static bool look(struct job *j)
{
    const struct cloudfront_state *s = &j->s;
    struct err e = {0};

    if (!call(j, "/config", NULL, "the configuration", &j->config))
        return false;
    if (cloudfront_read(j->config, j->want, j->other, &j->a, &j->s, &e) != 0 || !j->etag[0]) {
        action_say(j->out, ACTION_RETRY, "the configuration: %s", e.code ? e.text : "no ETag");
        return false;
    }
    j->out->found = s->token;
    action_seen(j->out, "%u behaviours to %.60s, %u to %.60s, %u to others, epoch=%u token=%llu.%llu",
                s->here, j->want, s->there, j->other, s->elsewhere, s->epoch,
                (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    if (fencing_cmp(s->token, j->o->token) > 0)
        action_say(j->out, ACTION_CONFLICT, "a later move has left its mark: epoch %u, token %llu.%llu",
                   s->epoch, (unsigned long long)s->token.store, (unsigned long long)s->token.rev);
    else if (!s->origin)
        action_say(j->out, ACTION_DENIED, "the distribution has no origin %.100s", j->want);
    else if (!s->here && !s->there)
        action_say(j->out, ACTION_CONFLICT, "no behaviour leads to an origin of these regions");
    else
        return true;
    return false;
}

static bool is_so(const struct job *j)
{
    return !j->s.there && j->s.epoch == j->o->epoch;
}

/* OK when all edges have it. */
static void deployed(struct job *j)
{
    const struct xml *root;
    const char *status = NULL;
    struct bytes answer;
    struct err e = {0};

    if (!call(j, "", NULL, "the distribution", &answer))
        return;
    if (xml_parse(&j->a, answer, &root, &e) == 0)
        status = xml_child_text(root, "Status");
    if (!status)
        action_say(j->out, ACTION_RETRY, "the distribution: an answer without a status");
    else if (strcmp(status, "Deployed") == 0)
        action_say(j->out, ACTION_OK, "all behaviours lead to %.100s, and it is deployed", j->want);
    else
        action_say(j->out, ACTION_PROGRESS, "all behaviours lead to %.100s: %.40s", j->want, status);
}

static void probe(struct job *j)
{
    if (!look(j))
        return;
    if (is_so(j))
        deployed(j);
    else
        action_say(j->out, ACTION_NOT_APPLIED, "%s", j->out->seen);
}

/* ---- a change ---- */

static bool rewritten(struct job *j, struct buf *body)
{
    char mark[ACTION_MARK];
    struct err e = {0};

    action_mark(j->o, mark);
    if (cloudfront_rewrite(j->config, j->want, j->other, mark, body, &e) == 0)
        return true;
    action_say(j->out, e.code == ERR_NOMEM ? ACTION_RETRY : ACTION_DENIED, "the configuration: %s", e.text);
    return false;
}

static void apply(struct job *j)
{
    struct bytes answer;
    struct buf body;

    if (!look(j))
        return;
    if (is_so(j)) {
        deployed(j);
        if (j->out->class == ACTION_OK)
            j->out->class = ACTION_ALREADY;
        return;
    }
    buf_init(&body, NULL, CONFIG_MOST);
    if (rewritten(j, &body)) {
        if (call(j, "/config", &body, "the change", &answer))
            action_say(j->out, ACTION_PROGRESS, "taken; the edges are being told");
        else if (strcmp(j->code, "PreconditionFailed") == 0 || strcmp(j->code, "InvalidIfMatchVersion") == 0)
            j->out->class = ACTION_RETRY; /* somebody has written since it was read: read again */
    }
    buf_free(&body);
}

static void precheck(struct job *j)
{
    struct buf body;

    if (!look(j))
        return;
    buf_init(&body, NULL, CONFIG_MOST);
    if (rewritten(j, &body))
        action_say(j->out, ACTION_OK, "the distribution can be turned to %.100s", j->want);
    buf_free(&body);
}

static void cloudfront_run(const struct action_target *t, const struct action_order *o,
                           struct action_result *out)
{
    struct job j = {.t = t, .o = o, .out = out, .until = mono_add(clock_mono(), o->deadline)};
    const char *from = origin_of(t, o->from), *to = origin_of(t, o->to);

    if (!from || !to) {
        action_say(out, ACTION_DENIED, "`origins` has none of %.64s", from ? o->to : o->from);
        return;
    }
    j.want = o->op == ACTION_UNDO ? from : to;
    j.other = o->op == ACTION_UNDO ? to : from;
    arena_init(&j.a, NULL, ARENA_MOST);
    switch (o->op) {
    case ACTION_PRECHECK: precheck(&j); break;
    case ACTION_PROBE:
    case ACTION_VERIFY: probe(&j); break;
    case ACTION_APPLY:
    case ACTION_UNDO: apply(&j); break;
    case ACTION_OPS: break;
    }
    arena_free(&j.a);
}

/* ---- options ---- */

static int cloudfront_check(const struct section *s, const char **key, struct err *e)
{
    const char *id = option_text(s, "distribution");

    *key = "distribution";
    if (strlen(id) > ID_MOST || id[strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")])
        return err_set(e, ERR_CONFIG, "expected the identifier of a distribution, such as E2EXAMPLE1");
    *key = "origins";
    if (action_regions_check(s, "origins", e) != 0)
        return ERR_CONFIG;
    for (size_t i = 0; i < option_count(s, "origins"); i++) {
        const char *origin = strchr(option_word(s, "origins", i), '=') + 1;

        if (strlen(origin) > ID_MOST || strpbrk(origin, "<>&\"'"))
            return err_set(e, ERR_CONFIG,
                           "found \"%.80s\", expected an origin's identifier without < > & or quotes",
                           origin);
    }
    return 0;
}

static void cloudfront_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_origins; i++) {
        free(t->origins[i].region);
        free(t->origins[i].id);
    }
    action_aws_close(&t->keys);
    free(t->base);
    free(t->distribution);
    free(t);
    *tp = NULL;
}

static bool copy_all(const struct section *s, struct action_target *t)
{
    t->distribution = option_copy(s, "distribution");
    t->base =
        option_count(s, "url") ? option_word_copy(s, "url", 0) : strdup("https://cloudfront.amazonaws.com");
    for (size_t i = 0; i < option_count(s, "origins") && i < ORIGINS; i++) {
        const char *word = option_word(s, "origins", i), *mark = strchr(word, '=');
        struct origin *o = &t->origins[t->n_origins++];

        o->region = mark ? strndup(word, (size_t)(mark - word)) : NULL;
        o->id = mark ? strdup(mark + 1) : NULL;
        if (!o->region || !o->id)
            return false;
    }
    return t->distribution && t->base;
}

static struct action_target *cloudfront_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    (void)log;
    if (!t || !copy_all(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        cloudfront_close(&t);
    } else if (action_aws_open(s, &t->keys, e) != 0) {
        cloudfront_close(&t);
    }
    return t;
}

const struct action_driver action_cloudfront = {
    .type = "cloudfront",
    .sentence = "CloudFront: the behaviours of a distribution lead to another origin.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "distribution origins " ACTION_AWS_REQUIRED,
    .steps = 1U << STEP_SWITCH | 1U << STEP_TIDY,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY | 1U << ACTION_UNDO,
    .check = cloudfront_check,
    .open = cloudfront_open,
    .close = cloudfront_close,
    .run = cloudfront_run,
};
