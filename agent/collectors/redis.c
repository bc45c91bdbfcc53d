/* Redis and Valkey: the reply to INFO, under the names of the exporter that users know, and how long that
 * reply took. One instance for each section [redis NAME], with the label server="NAME".
 *
 * The protocol is RESP2 (redis.io/docs/reference/protocol-spec): AUTH when a password is set, at the
 * beginning of a connection, and INFO go out together; the answer is one line for AUTH and a bulk string. A
 * server that refuses says so in a line that begins with "-". Decimals of INFO become integers of a fixed
 * number of digits, by the row's div. */
#include "agent/collector.h"
#include "agent/scan.h"

#include "common/sketch/sketch.h"

#define GAUGE(name, div, help)                                                                               \
    {                                                                                                        \
        "redis_" name, METRIC_GAUGE, 1, div, "", help                                                        \
    }
#define TOTAL(name, div, help)                                                                               \
    {                                                                                                        \
        "redis_" name "_total", METRIC_COUNTER, 1, div, "", help                                             \
    }

/* The first rows belong to the fields of INFO named beside them, in the order in which servers print them. */
static const struct metric_row rows[] = {
    GAUGE("uptime_in_seconds", 1, "Seconds since the server started."),
    GAUGE("connected_clients", 1, "Clients connected, replicas left out."),
    GAUGE("cluster_connections", 1, "Sockets of the cluster's bus."),
    GAUGE("max_clients", 1, "Most clients that may connect."),
    GAUGE("blocked_clients", 1, "Clients that wait in a blocking command."),
    GAUGE("tracking_clients", 1, "Clients that are told of changed keys."),
    GAUGE("memory_used_bytes", 1, "Memory that the allocator has given out."),
    GAUGE("memory_used_rss_bytes", 1, "Resident memory of the server."),
    GAUGE("memory_used_peak_bytes", 1, "Most memory ever given out."),
    GAUGE("memory_used_overhead_bytes", 1, "Memory taken by other things than data."),
    GAUGE("memory_used_dataset_bytes", 1, "Memory taken by data."),
    GAUGE("memory_used_lua_bytes", 1, "Memory of the Lua engine."),
    GAUGE("memory_max_bytes", 1, "Limit of the memory for data; 0: none."),
    GAUGE("mem_fragmentation_ratio", 100, "Resident memory over memory given out."),
    GAUGE("loading_dump_file", 1, "1 while a dump is read in, else 0."),
    GAUGE("rdb_changes_since_last_save", 1, "Changes since the last dump."),
    GAUGE("rdb_bgsave_in_progress", 1, "1 while a dump is written, else 0."),
    GAUGE("rdb_last_save_timestamp_seconds", 1, "When the last dump was written, in seconds since 1970."),
    GAUGE("rdb_last_bgsave_status", 1, "1 when the last dump went well, else 0."),
    GAUGE("rdb_last_bgsave_duration_sec", 1, "Seconds that the last dump took; -1: there was none."),
    GAUGE("aof_enabled", 1, "1 when the append-only file is on, else 0."),
    GAUGE("aof_rewrite_in_progress", 1, "1 while the append-only file is rewritten, else 0."),
    GAUGE("aof_last_bgrewrite_status", 1, "1 when the last rewrite went well, else 0."),
    GAUGE("aof_last_write_status", 1, "1 when the last write of the append-only file went well, else 0."),
    GAUGE("aof_current_size_bytes", 1, "Size of the append-only file."),
    GAUGE("aof_base_size_bytes", 1, "Size of the append-only file after the last rewrite."),
    TOTAL("connections_received", 1, "Connections accepted."),
    TOTAL("commands_processed", 1, "Commands carried out."),
    GAUGE("instantaneous_ops_per_sec", 1, "Commands a second, as the server estimates them."),
    TOTAL("net_input_bytes", 1, "Bytes received."),
    TOTAL("net_output_bytes", 1, "Bytes sent."),
    TOTAL("rejected_connections", 1, "Connections refused because of the limit of clients."),
    GAUGE("replica_resyncs_full", 1, "Full resynchronisations with replicas."),
    GAUGE("replica_partial_resync_accepted", 1, "Partial resynchronisations granted to replicas."),
    GAUGE("replica_partial_resync_denied", 1, "Partial resynchronisations refused to replicas."),
    TOTAL("expired_keys", 1, "Keys that ran out of time."),
    TOTAL("evicted_keys", 1, "Keys removed for want of memory."),
    TOTAL("keyspace_hits", 1, "Look-ups that found their key."),
    TOTAL("keyspace_misses", 1, "Look-ups that did not find their key."),
    GAUGE("pubsub_channels", 1, "Channels with subscribers."),
    GAUGE("pubsub_patterns", 1, "Channel patterns with subscribers."),
    GAUGE("latest_fork_seconds", 1000000, "Seconds that the last fork took."),
    GAUGE("connected_slaves", 1, "Replicas connected."),
    GAUGE("master_repl_offset", 1, "Bytes of the replication stream written so far."),
    GAUGE("second_repl_offset", 1, "Offset up to which the former replication id is honoured; -1: none."),
    GAUGE("repl_backlog_is_active", 1, "1 when a replication backlog is kept, else 0."),
    GAUGE("replication_backlog_bytes", 1, "Size of the replication backlog."),
    GAUGE("repl_backlog_history_bytes", 1, "Bytes in the replication backlog."),
    TOTAL("cpu_sys_seconds", 1000000, "Processor time of the server in the kernel."),
    TOTAL("cpu_user_seconds", 1000000, "Processor time of the server in user space."),
    TOTAL("cpu_sys_children_seconds", 1000000, "Processor time of the server's children in the kernel."),
    TOTAL("cpu_user_children_seconds", 1000000, "Processor time of the server's children in user space."),
    GAUGE("cluster_enabled", 1, "1 when the server is part of a cluster, else 0."),
    /* The others. */
    GAUGE("up", 1, "1 when the server answered, else 0."),
    {"redis_instance_info", METRIC_GAUGE, 1, 1,
     "maxmemory_policy os process_id redis_mode redis_version role run_id tcp_port",
     "Always 1: the labels tell what server this is."},
    {"redis_master_link_up", METRIC_GAUGE, 1, 1, "master_host master_port",
     "1 when a replica is connected to its master, else 0."},
    {"redis_master_last_io_seconds_ago", METRIC_GAUGE, 1, 1, "master_host master_port",
     "Seconds since a replica last heard of its master."},
    {"redis_master_sync_in_progress", METRIC_GAUGE, 1, 1, "master_host master_port",
     "1 while a replica is being synchronised, else 0."},
    {"redis_db_keys", METRIC_GAUGE, 1, 1, "db", "Keys in a database."},
    {"redis_db_keys_expiring", METRIC_GAUGE, 1, 1, "db", "Keys in a database that have a time to live."},
    {"redis_db_avg_ttl_seconds", METRIC_GAUGE, 1, 1000, "db", "Mean time to live of the keys that have one."},
    {"redis_commands_total", METRIC_COUNTER, 1, 1, "cmd", "Calls of a command."},
    {"redis_commands_duration_seconds_total", METRIC_COUNTER, 1, 1000000, "cmd",
     "Seconds that calls of a command took together."},
    {"redis_commands_rejected_calls_total", METRIC_COUNTER, 1, 1, "cmd",
     "Calls of a command refused before they ran."},
    {"redis_commands_failed_calls_total", METRIC_COUNTER, 1, 1, "cmd",
     "Calls of a command that ended in an error."},
    {"securebase_app_redis_hit_ratio", METRIC_GAUGE, 1, RATIO_DIV, "",
     "Share of look-ups since the previous sample that found their key; absent when there were none."},
    {"securebase_app_redis_reply_seconds", METRIC_SKETCH, 1, 1, "",
     "How long replies to INFO took, from request to last byte."},
    {"securebase_app_redis_last_reply_seconds", METRIC_GAUGE, 1, 1000000, "",
     "How long the last reply to INFO took."},
    {"securebase_app_redis_failures_total", METRIC_COUNTER, 1, 1, "reason",
     "Samples that the server gave no answer to, by reason."},
};
enum { ROWS = sizeof rows / sizeof *rows, HITS = 37, MISSES = 38, FIELDS = 53 };
enum {
    UP = FIELDS,
    INSTANCE,
    LINK_UP,
    LAST_IO,
    SYNCING,
    KEYS,
    EXPIRING,
    TTL,
    CALLS,
    USEC,
    REJECTED,
    FAILED,
    HIT_RATIO,
    REPLY,
    LAST_REPLY,
    FAILURES
};

static const char *const fields[FIELDS] = {"uptime_in_seconds",
                                           "connected_clients",
                                           "cluster_connections",
                                           "maxclients",
                                           "blocked_clients",
                                           "tracking_clients",
                                           "used_memory",
                                           "used_memory_rss",
                                           "used_memory_peak",
                                           "used_memory_overhead",
                                           "used_memory_dataset",
                                           "used_memory_lua",
                                           "maxmemory",
                                           "mem_fragmentation_ratio",
                                           "loading",
                                           "rdb_changes_since_last_save",
                                           "rdb_bgsave_in_progress",
                                           "rdb_last_save_time",
                                           "rdb_last_bgsave_status",
                                           "rdb_last_bgsave_time_sec",
                                           "aof_enabled",
                                           "aof_rewrite_in_progress",
                                           "aof_last_bgrewrite_status",
                                           "aof_last_write_status",
                                           "aof_current_size",
                                           "aof_base_size",
                                           "total_connections_received",
                                           "total_commands_processed",
                                           "instantaneous_ops_per_sec",
                                           "total_net_input_bytes",
                                           "total_net_output_bytes",
                                           "rejected_connections",
                                           "sync_full",
                                           "sync_partial_ok",
                                           "sync_partial_err",
                                           "expired_keys",
                                           "evicted_keys",
                                           "keyspace_hits",
                                           "keyspace_misses",
                                           "pubsub_channels",
                                           "pubsub_patterns",
                                           "latest_fork_usec",
                                           "connected_slaves",
                                           "master_repl_offset",
                                           "second_repl_offset",
                                           "repl_backlog_active",
                                           "repl_backlog_size",
                                           "repl_backlog_histlen",
                                           "used_cpu_sys",
                                           "used_cpu_user",
                                           "used_cpu_sys_children",
                                           "used_cpu_user_children",
                                           "cluster_enabled"};

/* Fields that become labels of redis_instance_info, in the order
 * of its labels; then those of the link to the master. */
enum { ABOUT = 8, MASTER_HOST = ABOUT, MASTER_PORT, TEXTS };
static const char *const texts[TEXTS] = {"maxmemory_policy", "os",         "process_id", "redis_mode",
                                         "redis_version",    "role",       "run_id",     "tcp_port",
                                         "master_host",      "master_port"};

static const char *const reasons[] = {"resolve",  "connect",   "timeout", "closed",
                                      "protocol", "too_large", "denied"};
enum { REASONS = sizeof reasons / sizeof *reasons, CREDENTIAL = 512 };

static const struct option_row options[] = {
    {.key = "address",
     .type = OPT_ADDRESS,
     .dflt = "127.0.0.1:6379",
     .reloadable = true,
     .sentence = "Where the server listens, without TLS."},
    {.key = "user",
     .type = OPT_STRING,
     .dflt = "",
     .reloadable = true,
     .sentence = "User of AUTH; empty: the default user."},
    {.key = "password",
     .type = OPT_SECRET,
     .reloadable = true,
     .sentence = "Password of AUTH; not set: no AUTH."},
    {.key = "commands",
     .type = OPT_BOOL,
     .dflt = "yes",
     .reloadable = true,
     .sentence = "Whether calls and time are shown for each command."},
};

struct state {
    char user[CREDENTIAL], password[CREDENTIAL];
    bool auth, commands;
    unsigned replies; /* that the question now out has coming */
    struct sketch reply;
    bool seen;
    uint64_t hits, misses;
    uint64_t failures[REASONS];
};

static int setup(void *p, const struct collector_setup *s, struct err *e)
{
    struct state *st = p;
    const char *user = option_text(s->options, "user");

    sketch_init(&st->reply, s->mem);
    st->commands = option_bool(s->options, "commands");
    st->auth = s->secret != NULL;
    if ((user && strlen(user) >= CREDENTIAL) || (s->secret && strlen(s->secret) >= CREDENTIAL))
        return err_set(e, ERR_CONFIG, "[redis %s]: user or password is longer than %d bytes",
                       section_label(s->options), CREDENTIAL - 1);
    if (user)
        memcpy(st->user, user, strlen(user));
    if (s->secret)
        memcpy(st->password, s->secret, strlen(s->secret));
    return 0;
}

static void teardown(void *p)
{
    struct state *st = p;

    sketch_free(&st->reply);
    explicit_bzero(st->password, sizeof st->password);
}

/* ---- the protocol ---------------------------------------------------------------------------- */

static void bulk(struct buf *out, const char *s)
{
    buf_fmt(out, "$%zu\r\n", strlen(s));
    buf_str(out, s);
    buf_str(out, "\r\n");
}

static int redis_request(void *p, bool fresh, struct buf *out, struct err *e)
{
    struct state *st = p;

    st->replies = 1;
    if (fresh && st->auth) {
        st->replies = 2;
        buf_fmt(out, "*%d\r\n", st->user[0] ? 3 : 2);
        bulk(out, "AUTH");
        if (st->user[0])
            bulk(out, st->user);
        bulk(out, st->password);
    }
    buf_fmt(out, "*%d\r\n", st->commands ? 2 : 1);
    bulk(out, "INFO");
    if (st->commands)
        bulk(out, "all");
    return out->full ? err_set(e, ERR_NOMEM, "redis: no memory for the request") : 0;
}

/* Length of the reply at p[n]: 0 while more is needed, negative when it is none that can come here. *body is
 * what a bulk string holds, or the line. */
static int64_t one_reply(const char *p, size_t n, struct text *body, struct err *e)
{
    const char *end = n ? memchr(p, '\n', n < 8192 ? n : 8192) : NULL;
    struct scan s;
    uint64_t len;

    if (n && *p != '+' && *p != '-' && *p != '$')
        return err_set(e, ERR_MALFORMED, "this does not speak the Redis protocol");
    if (!end)
        return n < 8192 ? 0 : err_set(e, ERR_MALFORMED, "a line that does not end");
    *body = (struct text){p, (uint32_t)(end - p - (end > p && end[-1] == '\r'))};
    if (*p != '$')
        return end - p + 1;
    s = (struct scan){p + 1, p + body->n};
    if (!scan_digits(&s, &len) || s.p != s.end || len > INT32_MAX)
        return err_set(e, ERR_MALFORMED, "a reply whose length is no number");
    *body = (struct text){end + 1, (uint32_t)len};
    return (int64_t)(end - p) + 1 + (int64_t)len + 2;
}

static int64_t redis_complete(void *p, const uint8_t *bytes, size_t n, struct err *e)
{
    struct state *st = p;
    int64_t at = 0;

    for (unsigned i = 0; i < st->replies; i++) {
        struct text body;
        int64_t len = (size_t)at <= n ? one_reply((const char *)bytes + at, n - (size_t)at, &body, e) : 0;

        if (len <= 0)
            return len;
        at += len;
    }
    return at;
}

/* ---- INFO ------------------------------------------------------------------------------------ */

/* "12.345" times div, cut; a sign may stand before. False when it is no number or does not fit. */
static bool decimal(struct text t, uint32_t div, int64_t *v)
{
    struct scan s = {t.p, t.p + t.n};
    bool minus = scan_prefix(&s, "-");
    uint64_t whole, n;

    if (!scan_digits(&s, &whole) || __builtin_mul_overflow(whole, (uint64_t)div, &n) || n > INT64_MAX)
        return false;
    if (s.p < s.end && *s.p == '.')
        for (s.p++; s.p < s.end && *s.p >= '0' && *s.p <= '9'; s.p++) {
            div /= 10;
            n += (uint64_t)(*s.p - '0') * div;
        }
    if (s.p < s.end || n > INT64_MAX)
        return false;
    *v = minus ? -(int64_t)n : (int64_t)n;
    return true;
}

/* What one pass over the text has gathered. */
struct pass {
    struct state *st;
    struct sink *out;
    struct text texts[TEXTS];
    bool has[2]; /* hits, misses */
    uint64_t hits, misses;
    size_t next;
    unsigned bad;
};

/* A field that counts microseconds already. */
static bool is_micros(const char *field)
{
    return strstr(field, "_usec") != NULL;
}

static void put_field(struct pass *a, size_t i, struct text value)
{
    int64_t v;

    if (text_is(value, "ok") || text_is(value, "err"))
        v = text_is(value, "ok");
    else if (!decimal(value, is_micros(fields[i]) ? 1 : rows[i].div, &v) ||
             (v < 0 && rows[i].kind == METRIC_COUNTER)) {
        a->bad++;
        return;
    }
    if (i == HITS || i == MISSES) {
        a->has[i - HITS] = true;
        *(i == HITS ? &a->hits : &a->misses) = (uint64_t)v;
    }
    sink_int(a->out, &rows[i], NULL, v);
}

static void put_link(struct pass *a, int row, struct text value)
{
    int64_t v = text_is(value, "up");

    if (row != LINK_UP && !decimal(value, 1, &v))
        a->bad++;
    else
        sink_int(a->out, &rows[row], &a->texts[MASTER_HOST], v);
}

/* "keys=2,expires=1,avg_ttl=0": values of the keys that are known, each to its row. */
static void put_list(struct pass *a, struct text label, struct text list, const char *const *keys,
                     const int *to)
{
    const char *p = list.p, *end = p + list.n;

    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        struct scan s = {p, comma ? comma : end};
        int64_t v;

        p = s.end + 1;
        for (size_t i = 0; keys[i]; i++) {
            struct scan at = s;

            if (!scan_prefix(&at, keys[i]))
                continue;
            if (decimal((struct text){at.p, (uint32_t)(at.end - at.p)}, 1, &v))
                sink_int(a->out, &rows[to[i]], &label, v);
            else
                a->bad++;
        }
    }
}

static void put_pair(struct pass *a, struct text key, struct text value)
{
    static const char *const db_keys[] = {"keys=", "expires=", "avg_ttl=", NULL};
    static const int db_rows[] = {KEYS, EXPIRING, TTL};
    static const char *const cmd_keys[] = {"calls=", "usec=", "rejected_calls=", "failed_calls=", NULL};
    static const int cmd_rows[] = {CALLS, USEC, REJECTED, FAILED};
    struct scan k = {key.p, key.p + key.n};
    uint64_t n;

    if (scan_prefix(&k, "cmdstat_") && k.p < k.end) {
        put_list(a, (struct text){k.p, (uint32_t)(k.end - k.p)}, value, cmd_keys, cmd_rows);
        return;
    }
    if (scan_prefix(&k, "db") && scan_digits(&k, &n) && k.p == k.end) {
        put_list(a, key, value, db_keys, db_rows);
        return;
    }
    for (size_t i = 0; i < TEXTS; i++)
        if (text_is(key, texts[i])) {
            a->texts[i] = value;
            return;
        }
    if (text_is(key, "master_link_status"))
        put_link(a, LINK_UP, value);
    else if (text_is(key, "master_last_io_seconds_ago"))
        put_link(a, LAST_IO, value);
    else if (text_is(key, "master_sync_in_progress"))
        put_link(a, SYNCING, value);
    else
        for (size_t j = 0; j < FIELDS; j++) {
            size_t i = a->next + j < FIELDS ? a->next + j : a->next + j - FIELDS;

            if (text_is(key, fields[i])) {
                a->next = i + 1 < FIELDS ? i + 1 : 0;
                put_field(a, i, value);
                return;
            }
        }
}

static void put_info(struct pass *a, struct text info)
{
    struct scan s = {info.p, info.p + info.n}, line;

    while (scan_line(&s, &line)) {
        const char *colon;

        if (line.end > line.p && line.end[-1] == '\r')
            line.end--;
        colon = line.end > line.p ? memchr(line.p, ':', (size_t)(line.end - line.p)) : NULL;
        if (!colon || *line.p == '#')
            continue;
        put_pair(a, (struct text){line.p, (uint32_t)(colon - line.p)},
                 (struct text){colon + 1, (uint32_t)(line.end - colon - 1)});
    }
}

static void put_hit_ratio(struct pass *a)
{
    struct state *st = a->st;

    if (!a->has[0] || !a->has[1])
        return;
    if (st->seen && a->hits >= st->hits && a->misses >= st->misses) {
        double hits = (double)(a->hits - st->hits), all = hits + (double)(a->misses - st->misses);

        if (all > 0)
            sink_int(a->out, &rows[HIT_RATIO], NULL, ratio_sample(hits / all));
    }
    st->seen = true;
    st->hits = a->hits;
    st->misses = a->misses;
}

static void put_failures(const struct state *st, struct sink *out)
{
    for (size_t i = 0; i < REASONS; i++) {
        struct text reason = text_of(reasons[i]);

        sink_uint(out, &rows[FAILURES], &reason, st->failures[i]);
    }
}

static void redis_failed(void *p, const struct tick *t, const char *reason, struct sink *out)
{
    struct state *st = p;

    (void)t;
    for (size_t i = 0; i < REASONS; i++)
        st->failures[i] += strcmp(reasons[i], reason) == 0;
    sink_int(out, &rows[UP], NULL, 0);
    put_failures(st, out);
}

/* A line of refusal as an error; the connection then is given up. */
static int refused(struct state *st, const struct tick *t, struct text line, struct sink *out, struct err *e)
{
    int n = (int)(line.n < 200 ? line.n : 200);

    redis_failed(st, t, "denied", out);
    return err_set(e, ERR_DENIED, "the server refuses: %.*s", n > 1 ? n - 1 : 0, line.p + (n > 1));
}

static int redis_answered(void *p, const struct tick *t, struct bytes answer, struct span took,
                          struct sink *out, struct err *e)
{
    struct state *st = p;
    struct pass a = {.st = st, .out = out};
    const char *at = (const char *)answer.p;
    struct text body = {NULL, 0};
    size_t left = answer.n;

    for (unsigned i = 0; i < st->replies; i++) {
        int64_t len = one_reply(at, left, &body, e);

        if (len <= 0 || (size_t)len > left) {
            redis_failed(st, t, "protocol", out);
            return err_set(e, ERR_MALFORMED, "the answer ends early");
        }
        if (*at == '-')
            return refused(st, t, body, out, e);
        if ((*at == '$') != (i + 1 == st->replies)) {
            redis_failed(st, t, "protocol", out);
            return err_set(e, ERR_MALFORMED, "not an answer to INFO");
        }
        at += len;
        left -= (size_t)len;
    }
    for (size_t i = 0; i < TEXTS; i++)
        a.texts[i] = text_of("");
    put_info(&a, body);
    sink_int(out, &rows[UP], NULL, 1);
    sink_int(out, &rows[INSTANCE], a.texts, 1);
    put_hit_ratio(&a);
    put_failures(st, out);
    sink_int(out, &rows[LAST_REPLY], NULL, took.ns / 1000);
    sketch_clear(&st->reply);
    if (sketch_add(&st->reply, span_seconds(took), 1) == 0)
        out->sketch(out, &rows[REPLY], NULL, &st->reply);
    return a.bad ? err_set(e, ERR_MALFORMED, "INFO: %u values could not be read", a.bad) : 0;
}

const struct collector collector_redis = {
    .name = "redis",
    .summary = "A Redis or Valkey server: INFO, and how long its reply took.",
    .shape = COLLECTOR_ASK,
    .enabled = true,
    .instances = true,
    .instance = "server",
    .interval = "10s",
    .rows = rows,
    .n_rows = ROWS,
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .secret = "password",
    .state_size = sizeof(struct state),
    .setup = setup,
    .teardown = teardown,
    .request = redis_request,
    .complete = redis_complete,
    .answered = redis_answered,
    .failed = redis_failed,
};
