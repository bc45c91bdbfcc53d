/* Room in file systems: which there are from mountinfo (proc_pid_mountinfo(5)), how full each is from statvfs
 * in a worker, since a mount whose server is gone never answers.
 *
 * The mounts of process 1 are taken where they can be read, else our own: the service may run in a name space
 * with fewer. A file system mounted twice with the same source, place and type is shown once. */
#include "agent/collector.h"
#include "agent/pattern.h"
#include "agent/scan.h"

#include <errno.h>
#include <stdio.h>

#include "common/wire/wire.h"

#define LABELS "device device_error fstype mountpoint"
#define BYTES(name, help)                                                                                    \
    {                                                                                                        \
        "node_filesystem_" name, METRIC_GAUGE, 1, 1, LABELS, help                                            \
    }

static const struct metric_row rows[] = {
    BYTES("size_bytes", "Size of the file system."),
    BYTES("free_bytes", "Free room, that reserved for root included."),
    BYTES("avail_bytes", "Free room for users other than root."),
    BYTES("files", "Inodes in all."),
    BYTES("files_free", "Free inodes."),
    BYTES("readonly", "1 when it is mounted for reading only, else 0."),
    BYTES("device_error", "1 when its room could not be learnt, else 0."),
    {"securebase_host_filesystem_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "device fstype mountpoint",
     "Share of the room that users other than root cannot have, as df shows it."},
};
enum { SIZE, FREE, AVAIL, INODES, INODES_FREE, READONLY, DEVICE_ERROR, RATIO };

static const struct option_row options[] = {
    {.key = "exclude_types",
     .type = OPT_LIST,
     .dflt = "autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs fusectl hugetlbfs "
             "iso9660 mqueue nsfs overlay "
             "proc procfs pstore rpc_pipefs securityfs selinuxfs squashfs erofs sysfs tracefs",
     .reloadable = true,
     .sentence = "Types left out: patterns in which * is anything, ? a letter and # a number."},
    {.key = "exclude_mounts",
     .type = OPT_LIST,
     .dflt = "/dev /dev/* /proc /proc/* /run/credentials/* /sys /sys/* /var/lib/docker/* "
             "/var/lib/containers/storage/*",
     .reloadable = true,
     .sentence = "Mount points left out, by the same patterns."},
};

/* One mount of the round that is out; texts are offsets into `text`. */
struct mount {
    uint32_t device, device_n, type, type_n, point, point_n;
    bool readonly;
};

struct state {
    struct patterns types, points;
    struct mem *mem;
    struct mount *mounts; /* owned */
    size_t n, room;
    struct buf text;
    unsigned bad; /* lines of the last look that could not be used */
    bool readable;
};

enum { MOUNTS_MAX = 4096, TEXT_MAX = 4 << 20 };

static int setup(void *p, const struct collector_setup *s, struct err *e)
{
    struct state *st = p;
    int rc;

    st->mem = s->mem;
    buf_init(&st->text, s->mem, TEXT_MAX);
    rc = patterns_set(&st->types, s->mem, s->options, "exclude_types", e);
    return rc ? rc : patterns_set(&st->points, s->mem, s->options, "exclude_mounts", e);
}

static void teardown(void *p)
{
    struct state *st = p;

    patterns_free(&st->types);
    patterns_free(&st->points);
    buf_free(&st->text);
    mem_free(st->mem, st->mounts, st->room * sizeof *st->mounts);
}

/* ---- which mounts there are ------------------------------------------------------------------ */

static bool octal(const char *s)
{
    return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' && s[2] <= '7';
}

/* Appends a field with its escapes (\040 is a blank) undone; its place and length. */
static uint32_t keep_text(struct state *st, struct text t, uint32_t *n)
{
    size_t at = st->text.len;

    for (uint32_t i = 0; i < t.n; i++) {
        char c = t.p[i];

        if (c == '\\' && i + 3 < t.n && octal(t.p + i + 1)) {
            c = (char)((t.p[i + 1] - '0') << 6 | (t.p[i + 2] - '0') << 3 | (t.p[i + 3] - '0'));
            i += 3;
        }
        buf_u8(&st->text, (uint8_t)c);
    }
    *n = (uint32_t)(st->text.len - at);
    return (uint32_t)at;
}

static struct text kept(const struct state *st, uint32_t at, uint32_t n)
{
    return (struct text){(const char *)st->text.data + at, n};
}

static bool same(const struct state *st, uint32_t a, uint32_t a_n, uint32_t b, uint32_t b_n)
{
    return a_n == b_n && memcmp(st->text.data + a, st->text.data + b, a_n) == 0;
}

static bool seen(const struct state *st, const struct mount *m)
{
    for (size_t i = 0; i < st->n; i++) {
        const struct mount *o = &st->mounts[i];

        if (same(st, o->point, o->point_n, m->point, m->point_n) &&
            same(st, o->type, o->type_n, m->type, m->type_n) &&
            same(st, o->device, o->device_n, m->device, m->device_n))
            return true;
    }
    return false;
}

/* "ro" among words separated by commas. */
static bool has_ro(struct text words)
{
    const char *p = words.p, *end = p + words.n;

    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t n = (size_t)((comma ? comma : end) - p);

        if (n == 2 && p[0] == 'r' && p[1] == 'o')
            return true;
        p += n + 1;
    }
    return false;
}

static bool add(struct state *st, const struct mount *m)
{
    size_t room = st->room ? st->room * 2 : 16;
    void *grown;

    if (st->n == st->room) {
        grown = room <= MOUNTS_MAX ? mem_resize(st->mem, st->mounts, st->room * sizeof *m, room * sizeof *m)
                                   : NULL;
        if (!grown)
            return false;
        st->mounts = grown;
        st->room = room;
    }
    st->mounts[st->n++] = *m;
    return true;
}

/* "36 35 98:0 /root /point options optional… - type source super": false when it is none, or does not fit. */
static bool look_at(struct state *st, struct scan line)
{
    struct text word, point, flags, type, device, super = {NULL, 0};
    struct mount m = {0};
    size_t mark = st->text.len;

    for (int i = 0; i < 4; i++)
        if (!scan_word(&line, &word))
            return false;
    if (!scan_word(&line, &point) || !scan_word(&line, &flags))
        return false;
    do
        if (!scan_word(&line, &word))
            return false;
    while (!text_is(word, "-"));
    if (!scan_word(&line, &type) || !scan_word(&line, &device))
        return false;
    (void)scan_word(&line, &super);
    m.point = keep_text(st, point, &m.point_n);
    m.type = keep_text(st, type, &m.type_n);
    m.device = keep_text(st, device, &m.device_n);
    m.readonly = has_ro(flags) || has_ro(super);
    if (st->text.full)
        return false;
    if (patterns_match(&st->types, kept(st, m.type, m.type_n)) ||
        patterns_match(&st->points, kept(st, m.point, m.point_n)) || seen(st, &m)) {
        st->text.len = mark;
        return true;
    }
    return m.point_n < sizeof((struct call_job *)0)->key && m.device_n <= WIRE_MAX_LABEL_VALUE &&
           !memchr(st->text.data + m.point, 0, m.point_n) && add(st, &m);
}

static size_t filesystem_jobs(void *p, const struct bytes *files, struct call_job *jobs, size_t max)
{
    struct state *st = p;
    struct scan s = scan_of(files[0].n ? files[0] : files[1]), line;

    st->n = 0;
    st->bad = 0;
    st->readable = s.p < s.end;
    buf_clear(&st->text);
    while (scan_line(&s, &line))
        st->bad += !look_at(st, line);
    for (size_t i = 0; i < st->n && i < max; i++) {
        const struct mount *m = &st->mounts[i];

        jobs[i].kind = CALL_STATVFS;
        memcpy(jobs[i].key, st->text.data + m->point, m->point_n);
        jobs[i].key[m->point_n] = 0;
    }
    return st->n;
}

/* ---- how full they are ----------------------------------------------------------------------- */

/* A label has to be UTF-8, which a path need not be: then its other bytes become question marks. */
static struct text label(struct state *st, uint32_t at, uint32_t n)
{
    if (!wire_utf8_ok((const char *)st->text.data + at, n))
        for (uint32_t i = 0; i < n; i++)
            if (st->text.data[at + i] >= 0x80)
                st->text.data[at + i] = '?';
    return kept(st, at, n);
}

/* What is wrong, in node_exporter's words: those of the system, beginning small. */
static struct text why(int code, char sentence[64])
{
    const char *s = code == ETIMEDOUT ? "mountpoint timeout" : code ? strerror(code) : "";

    (void)snprintf(sentence, 64, "%s", s);
    if (sentence[0] >= 'A' && sentence[0] <= 'Z')
        sentence[0] = (char)(sentence[0] + 'a' - 'A');
    return text_of(sentence);
}

static void put_bytes(struct sink *out, int row, const struct text *labels, uint64_t blocks, uint64_t size)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(blocks, size, &bytes))
        sink_real(out, &rows[row], labels, (double)blocks * (double)size);
    else
        sink_uint(out, &rows[row], labels, bytes);
}

static void put_mount(struct state *st, const struct mount *m, const struct call_answer *a, struct sink *out)
{
    struct text labels[4] = {label(st, m->device, m->device_n),
                             {"", 0},
                             label(st, m->type, m->type_n),
                             label(st, m->point, m->point_n)};
    const struct text of_ratio[3] = {labels[0], labels[2], labels[3]};
    char sentence[64];
    uint64_t used, room;

    labels[1] = why(a->code, sentence);
    sink_int(out, &rows[DEVICE_ERROR], labels, a->code != 0);
    sink_int(out, &rows[READONLY], labels, m->readonly);
    if (a->code)
        return;
    put_bytes(out, SIZE, labels, a->v[2], a->v[1]);
    put_bytes(out, FREE, labels, a->v[3], a->v[1]);
    put_bytes(out, AVAIL, labels, a->v[4], a->v[1]);
    sink_uint(out, &rows[INODES], labels, a->v[5]);
    sink_uint(out, &rows[INODES_FREE], labels, a->v[6]);
    used = a->v[2] > a->v[3] ? a->v[2] - a->v[3] : 0;
    if (!__builtin_add_overflow(used, a->v[4], &room) && room)
        sink_int(out, &rows[RATIO], of_ratio, ratio_sample((double)used / (double)room));
}

static int filesystem_called(void *p, const struct tick *t, const struct call_job *jobs,
                             const struct call_answer *answers, size_t n, struct sink *out, struct err *e)
{
    struct state *st = p;

    (void)t;
    (void)jobs;
    for (size_t i = 0; i < n && i < st->n; i++)
        put_mount(st, &st->mounts[i], &answers[i], out);
    if (!st->readable)
        return err_set(e, ERR_NOTFOUND, "neither proc/1/mountinfo nor proc/self/mountinfo can be read");
    if (st->bad || n < st->n)
        return err_set(e, ERR_MALFORMED, "mountinfo: %zu mounts could not be used", st->bad + (st->n - n));
    return 0;
}

static const char *const files[] = {"proc/1/mountinfo", "proc/self/mountinfo", NULL};

const struct collector collector_filesystem = {
    .name = "filesystem",
    .summary = "Size, free room and inodes of mounted file systems, from mountinfo and statvfs(3).",
    .shape = COLLECTOR_CALL,
    .enabled = true,
    .interval = "10s",
    .rows = rows,
    .n_rows = sizeof rows / sizeof *rows,
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .state_size = sizeof(struct state),
    .setup = setup,
    .teardown = teardown,
    .files = files,
    .jobs = filesystem_jobs,
    .called = filesystem_called,
};
