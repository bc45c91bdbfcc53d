/* PostgreSQL by its own protocol: one type for all steps in which a database has a part; the action's `step` says which.
 *
 *   gate, any probe of promote   role of the standby, replication lag, whether it hears its primary   pg_state_io.c pg_lag.c
 *   fence                        the old primary's database is closed and emptied                     pg_fence_io.c
 *   catchup                      the target has replayed all that the fenced primary wrote            pg_check_io.c
 *   promote                      pg_promote, then the epoch row                                       pg_promote_io.c
 *   test                         a write and a read                                                   pg_check_io.c
 *   validate                     the same, and rows compared with a sample of before                  pg_validate_io.c
 *   tidy                         what is left to do                                                   pg_check_io.c
 *
 * SQL that makes the role and the tables: docs/actions.md. Facts about the server: PostgreSQL 15, chapters 9.27 (functions),
 * 27.4 (standbys), 28.2 (views). */
#include "aggregator/actions/pg.h"
#include "common/config/copies.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row rows[] = {
    {.key = "hosts",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = PG_REGIONS,
     .sentence =
         "The server of each region, without its password: "
         "us-east-1=postgresql://securebase@10.0.0.1:5432/app. Addresses rather than names, so that it "
         "works while names do not."},
    {.key = "database_password",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Password of the role; without, `passfile` or a certificate."},
    {.key = "passfile",
     .type = OPT_PATH,
     .reloadable = true,
     .sentence = "A password file as libpq reads it (.pgpass, mode 0600)."},
    ACTION_ROWS_TLS,
    {.key = "application_name",
     .type = OPT_STRING,
     .dflt = "securebase",
     .reloadable = true,
     .sentence = "Name by which our sessions are seen in the server."},
    {.key = "maintenance_database",
     .type = OPT_STRING,
     .dflt = "postgres",
     .reloadable = true,
     .sentence = "Another database of the same server, from which the service's is closed and opened."},
    {.key = "schema",
     .type = OPT_STRING,
     .dflt = "securebase",
     .reloadable = true,
     .sentence = "Schema of the tables heartbeat and epoch, in the service's database."},
    {.key = "heartbeat",
     .type = OPT_BOOL,
     .dflt = "yes",
     .reloadable = true,
     .sentence = "Whether each look at the figures leaves a row in the primary's table heartbeat, so that a "
                 "lag can be "
                 "told while nobody else writes."},
    {.key = "synchronous",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = PG_REGIONS,
     .sentence =
         "The application_name under which each region's server follows a primary: us-west-2=west. Without, "
         "replication never counts as synchronous."},
    {.key = "tables",
     .type = OPT_LIST,
     .dflt = "",
     .reloadable = true,
     .max = PG_TABLES,
     .sentence = "For `step = validate`: tables (schema.name, a primary key of one whole number, only "
                 "appended to) whose "
                 "rows are sampled before and compared after a move."},
    {.key = "sample_every",
     .type = OPT_DURATION,
     .dflt = "1h",
     .reloadable = true,
     .min = INT64_C(60000000000),
     .max = INT64_C(604800000000000),
     .sentence = "How old the sample of `tables` may become."},
    {.key = "clear_synchronous",
     .type = OPT_BOOL,
     .dflt = "no",
     .reloadable = true,
     .sentence =
         "Whether a promotion empties synchronous_standby_names, so that commits do not wait for the lost "
         "side (ALTER SYSTEM, pg_reload_conf)."},
};

/* ---- checks ---- */

static const char *value_of(const PQconninfoOption *o, const char *key)
{
    for (; o && o->keyword; o++)
        if (strcmp(o->keyword, key) == 0)
            return o->val && *o->val ? o->val : NULL;
    return NULL;
}

/* Copies the database's name, when the URI is what it has to be. */
static int uri_check(const char *uri, char database[PG_NAME], struct err *e)
{
    char *why = NULL;
    PQconninfoOption *o = PQconninfoParse(uri, &why);
    const char *host = value_of(o, "host"), *addr = value_of(o, "hostaddr"), *name = value_of(o, "dbname");
    int rc = 0;

    if (!o)
        rc = err_set(e, ERR_CONFIG, "found a URI that libpq does not read: %.120s", why ? why : "no memory");
    else if (value_of(o, "password"))
        rc = err_set(e, ERR_CONFIG, "a password does not belong here: use `database_password`");
    else if ((!host && !addr) || strchr(host ? host : "", ',') || strchr(addr ? addr : "", ','))
        rc = err_set(e, ERR_CONFIG, "expected one host for each region");
    else if (!name || strlen(name) >= PG_NAME)
        rc = err_set(e, ERR_CONFIG,
                     "expected the service's database behind the host: postgresql://role@host/app");
    else if (value_of(o, "options"))
        rc = err_set(e, ERR_CONFIG, "`options` in a URI would be lost: the driver sets its own");
    else
        (void)snprintf(database, PG_NAME, "%s", name);
    PQconninfoFree(o);
    PQfreemem(why);
    return rc;
}

static bool is_plain(const char *s)
{
    return *s && strlen(s) < PG_NAME && !strchr("0123456789", *s) &&
           !s[strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

static int database_of(const struct section *s, char database[PG_NAME], struct err *e)
{
    char other[PG_NAME];

    database[0] = 0;
    for (size_t i = 0; i < option_count(s, "hosts"); i++) {
        const char *uri = strchr(option_word(s, "hosts", i), '=');

        if (!uri || uri_check(uri + 1, other, e) != 0)
            return ERR_CONFIG;
        if (database[0] && strcmp(database, other) != 0)
            return err_set(
                e, ERR_CONFIG,
                "the servers are copies of one: they have the same database, found \"%s\" and \"%s\"",
                database, other);
        memcpy(database, other, sizeof other);
    }
    return 0;
}

static int postgresql_check(const struct section *s, const char **key, struct err *e)
{
    char database[PG_NAME];

    *key = "hosts";
    if (action_regions_check(s, "hosts", e) != 0 || database_of(s, database, e) != 0)
        return ERR_CONFIG;
    *key = "maintenance_database";
    if (strcmp(option_text(s, "maintenance_database"), database) == 0)
        return err_set(e, ERR_CONFIG, "expected another database than the service's");
    *key = "schema";
    if (!is_plain(option_text(s, "schema")))
        return err_set(e, ERR_CONFIG, "expected a plain name in small letters");
    *key = "synchronous";
    if (action_regions_check(s, "synchronous", e) != 0)
        return ERR_CONFIG;
    *key = "cert";
    if (option_set(s, "cert") != option_set(s, "key"))
        return err_set(e, ERR_CONFIG, "`cert` and `key` go together");
    return 0;
}

/* ---- opening ---- */

static void postgresql_close(struct action_target **tp)
{
    struct action_target *t = *tp;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_regions; i++) {
        free(t->regions[i].region);
        free(t->regions[i].uri);
        free(t->regions[i].standby);
    }
    for (size_t i = 0; i < t->n_tables; i++)
        free(t->tables[i]);
    free_secret(&t->password);
    free(t->service);
    free(t->maintenance);
    free(t->application);
    free(t->schema);
    action_tls_close(&t->tls);
    free(t->passfile);
    free(t);
    *tp = NULL;
}

static bool copy_regions(const struct section *s, struct action_target *t)
{
    for (size_t i = 0; i < option_count(s, "hosts") && i < PG_REGIONS; i++) {
        const char *word = option_word(s, "hosts", i), *mark = strchr(word, '=');
        struct pg_region *r = &t->regions[t->n_regions];
        char name[PG_NAME];

        if (!mark)
            continue;
        t->n_regions++;
        r->region = strndup(word, (size_t)(mark - word));
        r->uri = strdup(mark + 1);
        if (!r->region || !r->uri)
            return false;
        if (action_by_region(s, "synchronous", r->region, name, sizeof name) && !(r->standby = strdup(name)))
            return false;
    }
    return true;
}

static bool copy_tables(const struct section *s, struct action_target *t)
{
    for (size_t i = 0; i < option_count(s, "tables") && i < PG_TABLES; i++) {
        t->tables[i] = option_word_copy(s, "tables", i);
        if (!t->tables[i])
            return false;
        t->n_tables++;
    }
    return true;
}

static struct action_target *postgresql_open(const struct section *s, struct log *log, struct err *e)
{
    struct action_target *t = calloc(1, sizeof *t);

    if (!t) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        return NULL;
    }
    t->log = log;
    t->step = action_step_of(s);
    t->heartbeat = option_bool(s, "heartbeat");
    t->clear_synchronous = option_bool(s, "clear_synchronous");
    t->service = option_copy(s, "service");
    t->maintenance = option_copy(s, "maintenance_database");
    t->application = option_copy(s, "application_name");
    t->schema = option_copy(s, "schema");
    t->passfile = option_copy(s, "passfile");
    t->sample_every = option_span(s, "sample_every");
    if (!t->service || !t->maintenance || !t->schema || !copy_regions(s, t) || !copy_tables(s, t)) {
        err_set(e, ERR_NOMEM, "no memory for an action");
        postgresql_close(&t);
    } else if (database_of(s, t->database, e) != 0 || action_tls_open(s, &t->tls, e) != 0 ||
               secret_copy(s, "database_password", &t->password, e) != 0) {
        postgresql_close(&t);
    }
    return t;
}

static void postgresql_run(const struct action_target *t, const struct action_order *o,
                           struct action_result *out)
{
    struct mono until = mono_add(clock_mono(), o->deadline);

    switch (t->step) {
    case STEP_FENCE: pg_run_fence(t, o, until, out); return;
    case STEP_CATCHUP: pg_run_catchup(t, o, until, out); return;
    case STEP_PROMOTE: pg_run_promote(t, o, until, out); return;
    case STEP_TEST: pg_run_test(t, o, until, out); return;
    case STEP_VALIDATE: pg_run_validate(t, o, until, out); return;
    case STEP_TIDY: pg_run_tidy(t, o, until, out); return;
    default: pg_run_gate(t, o, until, out); return;
    }
}

const struct action_driver action_postgresql = {
    .type = "postgresql",
    .sentence = "PostgreSQL: replication lag, closing the old primary, promotion, and a write as proof.",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .required = "hosts",
    .steps = 1U << STEP_FENCE | 1U << STEP_CATCHUP | 1U << STEP_PROMOTE | 1U << STEP_TEST |
             1U << STEP_VALIDATE | 1U << STEP_TIDY,
    .ops = 1U << ACTION_PRECHECK | 1U << ACTION_PROBE | 1U << ACTION_APPLY | 1U << ACTION_VERIFY |
           1U << ACTION_UNDO,
    .proves = true,
    .figures = true,
    .check = postgresql_check,
    .open = postgresql_open,
    .close = postgresql_close,
    .run = postgresql_run,
};
