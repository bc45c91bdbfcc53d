/* Many simulated agents over TLS, through one relay's certificate:
 * load_tls PORT CERTS AGENTS CONNECTIONS ROUNDS RATE BUSY
 *
 * Each agent has a host of 724 series; each round is one batch of 10 ticks of each agent, made and
 * compressed before the clock starts. An agent's batches go over one connection, in order; a connection
 * is a thread that posts, waits for the answer, and posts again (RATE 0), or keeps to a schedule of RATE
 * batches a second altogether, from which the time of the answer is then counted, so that waiting for a
 * slow one counts for those behind it. BUSY: percent of samples that differ from the one before.
 *
 * Prints one JSON object: of the first round, which begins all series, and
 * of the others, the seconds, batches, samples, bytes and the quantiles of
 * the time to the answer in ms. Ends with 1 when an answer was not 200. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "common/base/rng.h"
#include "common/net/openssl.h"
#include "common/wire/wire.h"

enum { SERIES = 724, TICKS = 10, TICK_MS = 1000, ANSWER_ROOM = 65536, NAMES = 32 };

struct host {
    struct wire_series series[SERIES];
    struct wire_label labels[SERIES];
    char names[SERIES][NAMES], values[SERIES][NAMES];
    struct wire_column columns[SERIES];
    int64_t ints[SERIES][TICKS];
    struct wire_schema schema;
    struct wire_hash schema_hash;
};

struct run {
    uint16_t port;
    SSL_CTX *tls;
    unsigned agents, connections, rounds, busy;
    double rate;
    struct buf *frames; /* [round * agents + agent] */
    double *ms;         /* likewise: time to the answer */
    pthread_barrier_t barrier;
    double begun; /* of the round or rounds under way; set between two barriers */
};

struct client {
    struct run *run;
    unsigned number;
    pthread_t thread;
    int fd;
    SSL *ssl;
    unsigned refused; /* answers other than 200 */
    char first_refusal[160];
};

static void die(const char *what)
{
    (void)fprintf(stderr, "load_tls: %s\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- what is sent ---- */

static struct wire_str str(const char *s)
{
    return (struct wire_str){s, (uint32_t)strlen(s)};
}

/* 24 metrics with up to 32 devices each: as many names and label values as a host has. */
static void describe(struct host *h, struct buf *schema)
{
    for (uint32_t j = 0; j < SERIES; j++) {
        bool counter = j % 3 != 0;

        (void)snprintf(h->names[j], NAMES, "load_%s_%u%s", j / 32 % 2 ? "bytes" : "events",
                       j / 32 * 3 + j % 3, counter ? "_total" : "");
        (void)snprintf(h->values[j], NAMES, "dev%u", j % 32);
        h->labels[j] = (struct wire_label){str("device"), str(h->values[j])};
        h->series[j] = (struct wire_series){.name = str(h->names[j]),
                                            .kind = counter ? WIRE_COUNTER : WIRE_GAUGE,
                                            .mul = 1,
                                            .div = j % 4 ? 1 : 100,
                                            .labels = &h->labels[j],
                                            .n_labels = 1,
                                            .help = str("A value of a simulated host.")};
        h->columns[j] = (struct wire_column){.ints = h->ints[j]};
    }
    h->schema = (struct wire_schema){h->series, SERIES, 0};
    if (wire_schema_encode(&h->schema, schema, NULL) != 0)
        die("the schema does not encode");
    h->schema_hash = wire_hash_of(schema->data, schema->len);
}

static void resource_of(unsigned agent, struct buf *out)
{
    char id[NAMES];
    struct wire_label labels[] = {
        {str("env"), str("bench")}, {str("host"), {id, 0}}, {str("region"), str("us-east-1")}};
    struct wire_resource r = {labels, 3};

    (void)snprintf(id, sizeof id, "load-%u", agent);
    labels[1].value = str(id);
    if (wire_resource_encode(&r, out, NULL) != 0)
        die("the resource does not encode");
}

static void next_ticks(struct host *h, struct rng *r, unsigned busy)
{
    for (uint32_t j = 0; j < SERIES; j++) {
        int64_t v = h->ints[j][TICKS - 1];

        for (uint32_t i = 0; i < TICKS; i++) {
            if (rng_below(r, 100) < busy)
                v += (int64_t)rng_below(r, 1ULL << rng_below(r, 14));
            h->ints[j][i] = v;
        }
    }
}

struct maker {
    struct host host;
    struct wire_codec *codec;
    struct buf payload, resource, frame;
    int64_t now;
};

static void make_batch(struct run *run, struct maker *m, unsigned round, unsigned agent)
{
    struct buf *frame = &run->frames[(size_t)round * run->agents + agent];
    struct wire_block_out block = {.schema = m->host.schema_hash,
                                   .layout = &m->host.schema,
                                   .t0 = m->now + ((int64_t)round - 6) * TICKS * TICK_MS,
                                   .dt = TICK_MS,
                                   .n = TICKS,
                                   .columns = m->host.columns};
    struct wire_batch_out b = {.epoch = (uint64_t)m->now,
                               .seq = round + 1,
                               .low = round + 1,
                               .sealed = block.t0 + TICKS * TICK_MS,
                               .blocks = &block,
                               .n_blocks = 1};
    char id[NAMES];

    (void)snprintf(id, sizeof id, "load-%u", agent);
    b.agent = str(id);
    buf_clear(&m->payload);
    buf_clear(&m->resource);
    resource_of(agent, &m->resource);
    b.resource = wire_hash_of(m->resource.data, m->resource.len);
    buf_clear(&m->frame);
    if (wire_batch_encode(&b, &m->payload, NULL) != 0 ||
        wire_deflate(m->codec, m->payload.data, m->payload.len, &m->frame, NULL) != 0)
        die("a batch does not encode");
    buf_init(frame, NULL, WIRE_MAX_BODY);
    buf_put(frame, m->frame.data, m->frame.len); /* in its own size: there are many */
    if (frame->full)
        die("no memory for the batches");
}

/* ---- how ---- */

static void dial(struct client *c)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(c->run->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    c->ssl = SSL_new(c->run->tls);
    if (c->fd < 0 || !c->ssl || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        SSL_set_fd(c->ssl, c->fd) != 1 || SSL_connect(c->ssl) != 1) {
        die("no connection");
    }
}

static void hang_up(struct client *c)
{
    (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    (void)close(c->fd);
}

/* One request and its whole answer; the status. */
static int post(struct client *c, const char *path, const char *type, const struct buf *body, char *answer)
{
    char head[512];
    int n = snprintf(head, sizeof head,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
                     path, type, body->len);
    size_t got = 0, whole = SIZE_MAX;
    int status = 0;
    char *end, *length;

    if (SSL_write(c->ssl, head, n) != n || SSL_write(c->ssl, body->data, (int)body->len) != (int)body->len)
        die("the connection broke while sending");
    while (got < whole) {
        int r = SSL_read(c->ssl, answer + got, (int)(ANSWER_ROOM - 1 - got));

        if (r <= 0)
            die("the connection broke while waiting for an answer");
        got += (size_t)r;
        answer[got] = 0;
        if (whole == SIZE_MAX && (end = strstr(answer, "\r\n\r\n")) != NULL) {
            length = strcasestr(answer, "content-length:");
            whole = (size_t)(end + 4 - answer) + (length ? (size_t)strtoul(length + 15, NULL, 10) : 0);
            if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
                die("not HTTP");
        }
    }
    return status;
}

static void post_definitions(struct run *run, const struct buf *schema)
{
    struct client c = {.run = run};
    static char answer[ANSWER_ROOM];
    struct wire_codec *codec = wire_codec_new(1);

    dial(&c);
    for (unsigned agent = 0; agent < run->agents;) {
        static struct wire_entry entries[200];
        static struct buf resources[200];
        struct buf payload, frame;
        uint32_t n = 0;

        buf_init(&payload, NULL, WIRE_MAX_INFLATED);
        buf_init(&frame, NULL, WIRE_MAX_BODY);
        entries[n].value = (struct bytes){schema->data, schema->len};
        entries[n++].hash = wire_hash_of(schema->data, schema->len);
        for (; n < 200 && agent < run->agents; n++, agent++) {
            buf_init(&resources[n], NULL, WIRE_MAX_BODY);
            resource_of(agent, &resources[n]);
            entries[n].value = (struct bytes){resources[n].data, resources[n].len};
            entries[n].hash = wire_hash_of(resources[n].data, resources[n].len);
        }
        if (wire_definitions_encode(entries, n, &payload, NULL) != 0 ||
            wire_deflate(codec, payload.data, payload.len, &frame, NULL) != 0 ||
            post(&c, "/v1/definitions", WIRE_TYPE_DEFINITIONS, &frame, answer) != 200)
            die("the definitions were not taken");
        for (uint32_t i = 1; i < n; i++)
            buf_free(&resources[i]);
        buf_free(&payload);
        buf_free(&frame);
    }
    wire_codec_free(&codec);
    hang_up(&c);
}

static void sleep_until(double t)
{
    double wait = t - now_s();
    struct timespec d = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};

    if (wait > 0)
        (void)nanosleep(&d, NULL);
}

static void rounds(struct client *c, unsigned from, unsigned to, double rate, char *answer)
{
    struct run *run = c->run;

    for (unsigned round = from; round < to; round++) {
        for (unsigned agent = c->number; agent < run->agents; agent += run->connections) {
            size_t at = (size_t)round * run->agents + agent;
            double due = rate > 0 ? run->begun + (double)(at - (size_t)from * run->agents) / rate : now_s();
            int status;

            sleep_until(due);
            status = post(c, "/v1/batches", WIRE_TYPE_BATCH, &run->frames[at], answer);
            run->ms[at] = (now_s() - due) * 1e3;
            if (status != 200 && !c->refused++)
                (void)snprintf(c->first_refusal, sizeof c->first_refusal, "%.150s", answer);
        }
    }
}

static void *work(void *arg)
{
    struct client *c = arg;
    char *answer = malloc(ANSWER_ROOM);

    if (!answer)
        die("no memory");
    dial(c);
    (void)pthread_barrier_wait(&c->run->barrier); /* all are connected */
    (void)pthread_barrier_wait(&c->run->barrier); /* the clock has started */
    rounds(c, 0, 1, 0, answer);
    (void)pthread_barrier_wait(&c->run->barrier);
    (void)pthread_barrier_wait(&c->run->barrier);
    rounds(c, 1, c->run->rounds, c->run->rate, answer);
    (void)pthread_barrier_wait(&c->run->barrier);
    hang_up(c);
    free(answer);
    return NULL;
}

/* ---- what came of it ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void tell(const struct run *r, const char *name, unsigned from, unsigned to, double seconds,
                 const char *end)
{
    size_t first = (size_t)from * r->agents, n = (size_t)(to - from) * r->agents, bytes = 0;
    double *ms = r->ms + first;

    for (size_t i = 0; i < n; i++)
        bytes += r->frames[first + i].len;
    qsort(ms, n, sizeof *ms, ascending);
    (void)printf(
        "\"%s\": {\"seconds\": %.6f, \"batches\": %zu, \"samples\": %zu, \"bytes\": %zu, \"p50\": %.3f, "
        "\"p90\": %.3f, \"p99\": %.3f, \"max\": %.3f}%s",
        name, seconds, n, n * SERIES * TICKS, bytes, ms[n / 2], ms[n * 9 / 10], ms[n * 99 / 100], ms[n - 1],
        end);
}

static SSL_CTX *tls_of(const char *certs)
{
    char ca[512], cert[512], key[512];
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());

    (void)snprintf(ca, sizeof ca, "%s/ca.pem", certs);
    (void)snprintf(cert, sizeof cert, "%s/role-relay.pem", certs);
    (void)snprintf(key, sizeof key, "%s/role-relay.key", certs);
    if (!c || SSL_CTX_load_verify_locations(c, ca, NULL) != 1 ||
        SSL_CTX_use_certificate_chain_file(c, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
        die("the certificates cannot be read");
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    return c;
}

static void make(struct run *r)
{
    static struct maker m;
    struct timespec t;
    struct rng rng;
    struct buf schema;

    rng_seed(&rng, 1);
    buf_init(&schema, NULL, WIRE_MAX_BODY);
    buf_init(&m.payload, NULL, WIRE_MAX_INFLATED);
    buf_init(&m.resource, NULL, WIRE_MAX_BODY);
    buf_init(&m.frame, NULL, WIRE_MAX_BODY);
    m.codec = wire_codec_new(1);
    (void)clock_gettime(CLOCK_REALTIME, &t);
    m.now = (int64_t)t.tv_sec * 1000;
    describe(&m.host, &schema);
    r->frames = calloc((size_t)r->rounds * r->agents, sizeof *r->frames);
    r->ms = calloc((size_t)r->rounds * r->agents, sizeof *r->ms);
    if (!r->frames || !r->ms || !m.codec)
        die("no memory");
    for (unsigned round = 0; round < r->rounds; round++) {
        next_ticks(&m.host, &rng, r->busy); /* all hosts run alike: what differs is who they are */
        for (unsigned agent = 0; agent < r->agents; agent++)
            make_batch(r, &m, round, agent);
    }
    post_definitions(r, &schema);
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct client *clients;
    pthread_attr_t small;
    double first;
    unsigned refused = 0;

    if (argc != 8)
        die("PORT CERTS AGENTS CONNECTIONS ROUNDS RATE BUSY");
    r.port = (uint16_t)strtoul(argv[1], NULL, 10);
    r.tls = tls_of(argv[2]);
    r.agents = (unsigned)strtoul(argv[3], NULL, 10);
    r.connections = (unsigned)strtoul(argv[4], NULL, 10);
    r.rounds = (unsigned)strtoul(argv[5], NULL, 10);
    r.rate = strtod(argv[6], NULL);
    r.busy = (unsigned)strtoul(argv[7], NULL, 10);
    if (!r.agents || !r.connections || r.connections > r.agents || r.rounds < 2 || r.rounds > 60)
        die("at least one connection, no more than agents; 2 to 60 rounds");
    make(&r);
    clients = calloc(r.connections, sizeof *clients);
    (void)pthread_attr_init(&small);
    (void)pthread_attr_setstacksize(&small, 256 << 10);
    if (!clients || pthread_barrier_init(&r.barrier, NULL, r.connections + 1) != 0)
        die("no memory");
    for (unsigned i = 0; i < r.connections; i++) {
        clients[i] = (struct client){.run = &r, .number = i};
        if (pthread_create(&clients[i].thread, &small, work, &clients[i]) != 0)
            die("no thread");
    }
    (void)pthread_barrier_wait(&r.barrier);
    r.begun = now_s();
    (void)pthread_barrier_wait(&r.barrier);
    (void)pthread_barrier_wait(&r.barrier);
    first = now_s() - r.begun;
    (void)fprintf(stderr, "first round\n"); /* the driver looks at the aggregator now */
    (void)getchar();
    r.begun = now_s();
    (void)pthread_barrier_wait(&r.barrier);
    (void)pthread_barrier_wait(&r.barrier);
    r.begun = now_s() - r.begun;
    for (unsigned i = 0; i < r.connections; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        if (clients[i].refused && !refused)
            (void)fprintf(stderr, "load_tls: %s\n", clients[i].first_refusal);
        refused += clients[i].refused;
    }
    (void)printf("{");
    tell(&r, "first", 0, 1, first, ", ");
    tell(&r, "rest", 1, r.rounds, r.begun, "");
    (void)printf(", \"refused\": %u}\n", refused);
    return refused != 0;
}
