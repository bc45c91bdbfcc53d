/* sim [OPTION…]: runs seeds and says what broke, what was never reached, and how long it took.
 *
 *   -n N     seeds (1000)         -s S   the first (1)            -j N   processes (2)
 *   -t       prints the trace     -d     prints a digest over all states and effects of each seed
 *   -i N     invariant N is not looked at
 *   -b N     ends after N violations; 1: does not explain them
 *   -q       no check of marks    -k K   plans without other faults, cut at each K of their effects
 *
 * Exit status 1 when an invariant broke or something was never reached. */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct run {
    uint64_t first, n;
    int jobs, most; /* most: violations until it ends */
    bool trace, digest, quiet;
    int cuts; /* at once */
    uint32_t ignored;
};

bool once(struct world *w, uint64_t seed, const struct options *o, struct marks *m, FILE *to)
{
    world_init(w, seed, o, m);
    w->trace_to = to;
    if (to != NULL && o->trace)
        faults_print(w, to);
    return world_run(w);
}

/* Leaves out one fault after the other while the same invariant breaks. */
static uint64_t shrink(struct world *w, uint64_t seed, struct options o, uint8_t invariant)
{
    static const uint64_t one = 1;
    struct marks *m = calloc(1, sizeof(*m));
    uint8_t n = w->n_faults;

    for (int round = 0; round < 2; round++)
        for (uint8_t i = 0; i < n; i++) {
            uint64_t was = o.dropped;

            if (was & one << i)
                continue;
            o.dropped |= one << i;
            if (once(w, seed, &o, m, NULL) || w->broken != invariant)
                o.dropped = was;
        }
    free(m);
    return o.dropped;
}

static void tail(const char *text, int lines, FILE *to)
{
    const char *p = text + strlen(text);

    while (p > text && lines >= 0)
        lines -= *--p == '\n';
    fputs(p + (*p == '\n'), to);
}

void explain(struct world *w, uint64_t seed, struct options o, bool brief)
{
    uint8_t invariant = w->broken;
    struct marks *m = calloc(1, sizeof(*m));
    char *text = NULL;
    size_t size = 0;
    FILE *mem;

    printf("seed %llu: invariant %u at %lld ms: %s\n", (unsigned long long)seed, invariant,
           (long long)w->broken_at, w->broken_why);
    if (brief) {
        free(m);
        return;
    }
    o.dropped = shrink(w, seed, o, invariant);
    mem = open_memstream(&text, &size);
    once(w, seed, &o, m, mem);
    fclose(mem);
    printf("with these faults alone (%u nodes, %u regions): %s\n", w->n_nodes, w->n_regions, w->broken_why);
    faults_print(w, stdout);
    tail(text, 60, stdout);
    printf("the whole: SEED=%llu TRACE=1 make sim\n", (unsigned long long)seed);
    free(text);
    free(m);
}

static int seeds(const struct run *r, uint64_t first, uint64_t n, struct marks *m)
{
    struct world *w = calloc(1, sizeof(*w));
    struct options o = {.trace = r->trace, .digest = r->digest, .ignored = r->ignored};
    uint64_t all = 14695981039346656037u;
    int bad = 0;

    for (uint64_t seed = first; seed < first + n && bad < r->most; seed++) {
        bool good = once(w, seed, &o, m, r->trace ? stdout : NULL);

        all = mix(all, &w->digest, sizeof(w->digest));
        if (good)
            continue;
        bad++;
        explain(w, seed, o, r->most == 1);
    }
    if (r->digest)
        printf("digest %016llx\n", (unsigned long long)all);
    free(w);
    return bad;
}

static int part(const struct run *r, uint64_t first, uint64_t n, struct marks *m)
{
    const struct options o = {.ignored = r->ignored};

    return r->cuts > 0 ? cuts_try(first, n, r->cuts, &o, r->most, m) : seeds(r, first, n, m);
}

static void add(struct marks *sum, const struct marks *m)
{
    uint64_t most = sum->converged_most > m->converged_most ? sum->converged_most : m->converged_most;
    const uint64_t *from = (const uint64_t *)(const void *)m;
    uint64_t *to = (uint64_t *)(void *)sum;

    for (size_t i = 0; i < offsetof(struct marks, converged) / sizeof(uint64_t); i++)
        to[i] += from[i];
    for (size_t i = 0; i < sizeof(m->converged) / sizeof(m->converged[0]); i++)
        sum->converged[i] += m->converged[i];
    sum->converged_most = most;
}

static int parallel(const struct run *r, struct marks *m)
{
    int pipes[16], bad = 0;
    uint64_t each = (r->n + (uint64_t)r->jobs - 1) / (uint64_t)r->jobs, first = r->first, left = r->n;

    fflush(stdout);
    for (int i = 0; i < r->jobs; i++) {
        uint64_t n = each < left ? each : left;
        int fd[2];

        if (pipe(fd) != 0)
            return 1;
        if (fork() == 0) {
            struct marks *mine = calloc(1, sizeof(*mine));
            int b = part(r, first, n, mine);

            fflush(stdout);
            if (write(fd[1], mine, sizeof(*mine)) != (ssize_t)sizeof(*mine))
                b++;
            _exit(b > 0);
        }
        close(fd[1]);
        pipes[i] = fd[0];
        first += n;
        left -= n;
    }
    for (int i = 0; i < r->jobs; i++) {
        struct marks *one = calloc(1, sizeof(*one));
        size_t got = 0;
        ssize_t k;
        int status;

        while (got < sizeof(*one) && (k = read(pipes[i], (char *)one + got, sizeof(*one) - got)) > 0)
            got += (size_t)k;
        bad += got != sizeof(*one);
        add(m, one);
        close(pipes[i]);
        free(one);
        if (wait(&status) < 0 || status != 0)
            bad++;
    }
    return bad;
}

static uint64_t percentile(const struct marks *m, uint64_t of, uint64_t ppm)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(m->converged) / sizeof(m->converged[0]); i++) {
        sum += m->converged[i];
        if (sum * 1000000 >= of * ppm)
            return (i + 1) * 10;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct run r = {.first = 1, .n = 1000, .jobs = 2, .most = 3};
    struct marks *m = calloc(1, sizeof(*m));
    struct timespec a, b;
    double took;
    int c, bad;

    while ((c = getopt(argc, argv, "n:s:j:tdqk:i:b:")) != -1)
        switch (c) {
        case 'n': r.n = strtoull(optarg, NULL, 10); break;
        case 's': r.first = strtoull(optarg, NULL, 10); break;
        case 'j': r.jobs = (int)strtol(optarg, NULL, 10); break;
        case 'i': r.ignored |= 1u << (strtoul(optarg, NULL, 10) & 31); break;
        case 'b': r.most = (int)strtol(optarg, NULL, 10); break;
        case 't': r.trace = true; break;
        case 'd': r.digest = true; break;
        case 'q': r.quiet = true; break;
        case 'k': r.cuts = (int)strtol(optarg, NULL, 10); break;
        default: return 2;
        }
    if (r.jobs > 16 || r.jobs < 1)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &a);
    bad = r.jobs == 1 || r.digest || r.trace ? part(&r, r.first, r.n, m) : parallel(&r, m);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (r.digest)
        return bad != 0;
    took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("sim: %llu seeds from %llu, %llu events in %.1f s: %.0f seeds/s\n", (unsigned long long)m->seeds,
           (unsigned long long)r.first, (unsigned long long)m->events, took, (double)m->seeds / took);
    printf("plans: %llu failovers, %llu switchovers, %llu drills; ended well: %llu %llu %llu; automatic "
           "%llu, taken back "
           "%llu, stuck %llu; fenced by proof %llu, by contract %llu\n",
           (unsigned long long)m->plans[0], (unsigned long long)m->plans[1], (unsigned long long)m->plans[2],
           (unsigned long long)m->ended[0], (unsigned long long)m->ended[1], (unsigned long long)m->ended[2],
           (unsigned long long)m->automatic, (unsigned long long)m->undone, (unsigned long long)m->stuck,
           (unsigned long long)m->proofs, (unsigned long long)m->contract);
    if (m->liveness > 0)
        printf("settled after all was well: %llu seeds; mean %.0f s, p99 %llu s, most %llu s\n",
               (unsigned long long)m->liveness, (double)m->converged_ms_sum / 1000.0 / (double)m->liveness,
               (unsigned long long)percentile(m, m->liveness, 990000),
               (unsigned long long)m->converged_most / 1000);
    if (!r.quiet && r.cuts == 0 && r.n >= 20000)
        bad += marks_report(m, stdout) > 0;
    free(m);
    return bad != 0;
}
