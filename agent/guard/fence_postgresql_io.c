/* Fence of a PostgreSQL by its data folder. Everything is done as the owner of the folder, who is its superuser as well.
 *
 * cut: a pg_hba.conf that lets in its superuser by the unix socket and whoever replicates, so that a standby still gets all
 * that was written; then every session is ended. Proof: a connection is refused by the rules (so the postmaster has taken
 * them), nobody is connecting by the rules before, and no client's session is left. The rules stay on the disk, so a server
 * that is started again is cut as well.
 * stop: pg_ctl stop -m immediate. Proof: no postmaster is there.
 *
 * A server in recovery writes nothing by itself and is left alone, and open: whoever promotes it has to get in. What the cut
 * does not stop: its own superuser on this host, background workers, subscriptions (docs/guard.md).
 * Facts: PostgreSQL 15's manual, 20.1 (pg_hba.conf), 55.2.1 (start-up), 9.27.2 (pg_terminate_backend). */
#include "agent/guard/fence.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <netdb.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/net/loop.h"

enum { FILE_MOST = 1 << 20, SAID = 2048, PAUSE_MS = 20 };

struct cluster {
    const char *data, *keep[FENCE_KEEP];
    size_t n_keep;
    char hba[PATH_MAX], bin[PATH_MAX / 2], owner[128];
    bool runs;
    struct postmaster p;
};

/* ---- files ---- */

static int read_file(const char *path, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    if (fd < 0)
        return err_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno, "%s", path);
    for (;;) {
        char block[8192];

        n = read(fd, block, sizeof block);
        if (n <= 0)
            break;
        buf_put(out, block, (size_t)n);
    }
    (void)close(fd);
    if (n < 0)
        return err_sys(e, ERR_IO, errno, "%s", path);
    return out->full ? err_set(e, ERR_LIMIT, "%s is larger than %d bytes", path, FILE_MOST) : 0;
}

static int sync_folder(const char *path, struct err *e)
{
    char folder[PATH_MAX];
    int fd, rc = 0;

    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rc = err_sys(e, ERR_IO, errno, "%s", folder);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* In place of whatever is there, whole or not at all, durable when it returns 0. */
static int put_file(const char *path, struct bytes content, struct err *e)
{
    char fresh[PATH_MAX + 8];
    int fd, rc = 0;

    (void)snprintf(fresh, sizeof fresh, "%s.new", path);
    (void)unlink(fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, content.p, content.n) != (ssize_t)content.n || fsync(fd) != 0 ||
        rename(fresh, path) != 0)
        rc = err_sys(e, ERR_IO, errno, "%s", fresh);
    if (fd >= 0)
        (void)close(fd);
    return rc == 0 ? sync_folder(path, e) : rc;
}

/* ---- the cluster ---- */

static int become(const char *data, char owner[128], struct err *e)
{
    struct passwd *u;
    struct stat st;

    if (stat(data, &st) != 0)
        return err_sys(e, ERR_IO, errno, "postgresql: %s", data);
    u = getpwuid(st.st_uid);
    if (!u || strpbrk(u->pw_name, "\"\n"))
        return err_set(e, ERR_CONFIG, "postgresql: the owner of %s has no name", data);
    (void)snprintf(owner, 128, "%s", u->pw_name);
    if (geteuid() == st.st_uid)
        return 0;
    if (geteuid() != 0 || st.st_uid == 0)
        return err_set(e, ERR_DENIED, "postgresql: %s belongs to %s: the helper has to be that user, or root",
                       data, owner);
    if (initgroups(u->pw_name, u->pw_gid) != 0 || setresgid(u->pw_gid, u->pw_gid, u->pw_gid) != 0 ||
        setresuid(u->pw_uid, u->pw_uid, u->pw_uid) != 0)
        return err_sys(e, ERR_DENIED, errno, "postgresql: cannot become %s", owner);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* prctl(2): another user has none */
    return 0;
}

/* A postmaster.pid that a crash has left names a process that is gone, or that is none of PostgreSQL's. */
static bool is_postmaster(int64_t pid, const char *data)
{
    char link[64], cwd[PATH_MAX], real[PATH_MAX];
    ssize_t n;

    if (kill((pid_t)pid, 0) != 0)
        return errno != ESRCH;
    (void)snprintf(link, sizeof link, "/proc/%lld/cwd",
                   (long long)pid); /* its working folder is its data folder */
    n = readlink(link, cwd, sizeof cwd - 1);
    if (n < 0 || !realpath(data, real))
        return true; /* not known: as if it were */
    cwd[n] = 0;
    return strcmp(cwd, real) == 0;
}

static int look(struct cluster *c, struct err *e)
{
    char path[PATH_MAX];
    struct buf b;
    int rc;

    c->runs = false;
    (void)snprintf(path, sizeof path, "%s/postmaster.pid", c->data);
    buf_init(&b, NULL, FILE_MOST);
    rc = read_file(path, &b, e);
    if (rc == 0) {
        rc = postmaster_read(buf_bytes(&b), &c->p) == 0 ? 0 : err_set(e, ERR_AGAIN, "%s is not whole", path);
        c->runs = rc == 0 && is_postmaster(c->p.pid, c->data);
    } else if (rc == ERR_NOTFOUND) {
        rc = 0;
    }
    buf_free(&b);
    return rc;
}

static int find(const struct guard_settings *s, struct cluster *c, struct err *e)
{
    const char *hba = option_text(s->section, "postgresql_hba"),
               *bin = option_text(s->section, "postgresql_bin");
    char path[PATH_MAX];
    struct buf b;
    int rc;

    c->data = option_text(s->section, "postgresql");
    while (c->n_keep < FENCE_KEEP && c->n_keep < option_count(s->section, "postgresql_keep")) {
        c->keep[c->n_keep] = option_word(s->section, "postgresql_keep", c->n_keep);
        c->n_keep++;
    }
    if ((rc = become(c->data, c->owner, e)) != 0)
        return rc;
    (void)snprintf(path, sizeof path, "%s%s", hba ? hba : c->data, hba ? "" : "/pg_hba.conf");
    if (!realpath(path, c->hba))
        (void)snprintf(c->hba, sizeof c->hba, "%s", path);
    if (bin) {
        (void)snprintf(c->bin, sizeof c->bin, "%s", bin);
        return look(c, e);
    }
    buf_init(&b, NULL, 64);
    (void)snprintf(path, sizeof path, "%s/PG_VERSION", c->data);
    rc = read_file(path, &b, e);
    (void)snprintf(c->bin, sizeof c->bin, "/usr/lib/postgresql/%.*s/bin", (int)strcspn(buf_text(&b), "\n/"),
                   buf_text(&b));
    buf_free(&b);
    return rc == 0 ? look(c, e) : rc;
}

/* One statement by the superuser; its answer, without the end of the line. */
static int ask(const struct cluster *c, const char *sql, const struct fence_order *o, char said[SAID],
               struct err *e)
{
    /* no word beside the answer: a session that has just gone is warned of, which is no failure */
    static const char base[] = "dbname=postgres options='-c client_min_messages=error'";
    char psql[PATH_MAX], port[16];
    const char *const words[] = {
        psql,     "--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--host", c->p.socket_dir,
        "--port", port,          "--username",    c->owner,        "--dbname",   base,     "--command",
        sql};
    int rc;

    (void)snprintf(psql, sizeof psql, "%s/psql", c->bin);
    (void)snprintf(port, sizeof port, "%u", c->p.port);
    rc = fence_run(words, sizeof words / sizeof *words, (struct bytes){NULL, 0}, NULL, o, said, SAID, e);
    return rc > 0 ? err_set(e, ERR_IO, "psql: %.200s", said) : rc;
}

/* ---- the rules ---- */

static int cut(const struct cluster *c, struct err *e)
{
    char before[PATH_MAX + 16];
    struct buf old, fresh;
    int rc;

    (void)snprintf(before, sizeof before, "%s.securebase", c->hba);
    buf_init(&old, NULL, FILE_MOST);
    buf_init(&fresh, NULL, FILE_MOST);
    rc = read_file(c->hba, &old, e);
    if (rc == 0 && !hba_is_cut(buf_bytes(&old))) {
        rc = put_file(before, buf_bytes(&old), e);
        if (rc == 0 && hba_cut(buf_bytes(&old), c->owner, c->keep, c->n_keep, &fresh) != 0)
            rc = err_set(e, ERR_LIMIT, "%s is too large", c->hba);
        if (rc == 0)
            rc = put_file(c->hba, buf_bytes(&fresh), e);
    }
    buf_free(&old);
    buf_free(&fresh);
    return rc;
}

static int uncut(const struct cluster *c, bool tell, struct err *e)
{
    char before[PATH_MAX + 16];
    struct buf b;
    int rc;

    (void)snprintf(before, sizeof before, "%s.securebase", c->hba);
    buf_init(&b, NULL, FILE_MOST);
    rc = read_file(c->hba, &b, e);
    if (rc == 0 && hba_is_cut(buf_bytes(&b))) {
        buf_clear(&b);
        rc = read_file(before, &b, e);
        if (rc == 0)
            rc = put_file(c->hba, buf_bytes(&b), e);
        tell = true;
    }
    buf_free(&b);
    if (rc == 0 && tell && c->runs && kill((pid_t)c->p.pid, SIGHUP) != 0)
        rc = err_sys(e, ERR_IO, errno, "the postmaster takes no signal");
    return rc;
}

/* ---- the proof ---- */

static int dial(const struct cluster *c, bool unix_socket, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *a = NULL;
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    char port[16];
    int fd;

    if (unix_socket) {
        (void)snprintf(un.sun_path, sizeof un.sun_path, "%.80s/.s.PGSQL.%u", c->p.socket_dir, c->p.port);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof un) != 0)
            goto failed;
        return fd;
    }
    (void)snprintf(port, sizeof port, "%u", c->p.port);
    if (getaddrinfo(c->p.address, port, &hints, &a) != 0)
        return err_set(e, ERR_IO, "no address for %s", c->p.address);
    fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        freeaddrinfo(a);
        goto failed;
    }
    freeaddrinfo(a);
    return fd;
failed:
    (void)close(fd);
    return err_sys(e, ERR_IO, errno, "the postmaster takes no connection");
}

/* Whether a client is sent away by the rules: 0; ERR_STATE: it is not. */
static int try_in(const struct cluster *c, bool unix_socket, const struct fence_order *o, struct err *e)
{
    uint8_t answer[4096];
    struct pollfd p = {.events = POLLIN};
    struct buf b;
    ssize_t n = 0;
    size_t got = 0;

    p.fd = dial(c, unix_socket, e);
    if (p.fd < 0)
        return p.fd;
    buf_init(&b, NULL, 1024);
    (void)pg_startup("securebase_guard", "postgres", &b);
    if (send(p.fd, b.data, b.len, MSG_NOSIGNAL) == (ssize_t)b.len)
        while (got < sizeof answer && !pg_refused((struct bytes){answer, got}) &&
               poll(&p, 1, (int)span_to_ms(fence_left(o))) > 0 &&
               (n = recv(p.fd, answer + got, sizeof answer - got, 0)) > 0) {
            got += (size_t)n;
            if (answer[0] != 'E')
                break;
        }
    buf_free(&b);
    (void)close(p.fd);
    return pg_refused((struct bytes){answer, got})
               ? 0
               : err_set(e, ERR_STATE, "a connection over %s is not refused by pg_hba.conf",
                         unix_socket ? "the unix socket" : c->p.address);
}

static int refused(const struct cluster *c, const struct fence_order *o, struct err *e)
{
    int rc = try_in(c, true, o, e);

    return rc == 0 && *c->p.address ? try_in(c, false, o, e) : rc;
}

/* Fields of /proc/PID/stat behind the name: the parent, and when it began, in ticks of the boot clock (proc(5)). */
static bool stat_of(long long pid, int64_t *parent, int64_t *began)
{
    char path[64], *end;
    struct buf b;
    long long p = 0, t = 0;
    bool ok;

    (void)snprintf(path, sizeof path, "/proc/%lld/stat", pid);
    buf_init(&b, NULL, 4096);
    ok = read_file(path, &b, NULL) == 0 && (end = strrchr(buf_text(&b), ')')) &&
         sscanf(end, ") %*c %lld %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
                &p, &t) == 2;
    buf_free(&b);
    *parent = p;
    *began = t;
    return ok;
}

static bool is_being_let_in(long long pid)
{
    char path[64];
    struct buf b;
    bool yes;

    (void)snprintf(path, sizeof path, "/proc/%lld/cmdline", pid);
    buf_init(&b, NULL, 4096);
    yes = read_file(path, &b, NULL) == 0 &&
          (strstr(buf_text(&b), " authentication") || strstr(buf_text(&b), " initializing"));
    buf_free(&b);
    return yes;
}

/* Whoever began to connect before `ticks` may have been forked with the rules before, and is not among the sessions yet: it is
 * known by its title. All of them are ended; the number of them. */
static unsigned end_connecting(const struct cluster *c, int64_t ticks)
{
    DIR *d = opendir("/proc");
    struct dirent *x;
    unsigned n = 0;

    while (d && (x = readdir(d))) {
        char *end;
        long long pid = strtoll(x->d_name, &end, 10);
        int64_t parent, began;

        if (*end || pid <= 0 || !stat_of(pid, &parent, &began) || parent != c->p.pid || began > ticks ||
            !is_being_let_in(pid))
            continue;
        n++;
        (void)kill((pid_t)pid, SIGTERM);
    }
    if (d)
        (void)closedir(d);
    return n;
}

/* Sessions of clients beside our own and those of the kept roles, ended or only counted. */
static int sessions(const struct cluster *c, bool end, const struct fence_order *o, long *n, struct err *e)
{
    char said[SAID], roles[FENCE_KEEP * (GUARD_NAME + 1) + 1] = "", sql[1024], *rest;
    size_t at = 0;
    int rc;

    for (size_t i = 0; i < c->n_keep; i++)
        at += (size_t)snprintf(roles + at, sizeof roles - at, "%s%s", i ? "," : "", c->keep[i]);
    (void)snprintf(sql, sizeof sql,
                   "select count(%s) from pg_stat_activity where backend_type = 'client backend' and pid <> "
                   "pg_backend_pid() and not (datname = 'postgres' and usename = any ('{%s}'))",
                   end ? "pg_terminate_backend(pid)" : "*", roles);
    rc = ask(c, sql, o, said, e);
    *n = rc == 0 ? strtol(said, &rest, 10) : -1;
    return rc == 0 && (rest == said || *rest) ? err_set(e, ERR_MALFORMED, "psql: %.200s", said) : rc;
}

static int in_recovery(const struct cluster *c, const struct fence_order *o, bool *yes, struct err *e)
{
    char said[SAID];
    int rc = ask(c, "select pg_is_in_recovery()", o, said, e);

    *yes = rc == 0 && strcmp(said, "t") == 0;
    return rc == 0 && !*yes && strcmp(said, "f") != 0 ? err_set(e, ERR_MALFORMED, "psql: %.200s", said) : rc;
}

static int proven(const struct cluster *c, const struct fence_order *o, struct err *e)
{
    long n = 0;
    int rc = refused(c, o, e);

    if (rc == 0)
        rc = sessions(c, false, o, &n, e);
    return rc == 0 && n ? err_set(e, ERR_STATE, "%ld sessions of clients are left", n) : rc;
}

/* ---- what is asked for ---- */

static void pause_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static int fence_stop(struct cluster *c, const struct fence_order *o, struct err *e)
{
    char pg_ctl[PATH_MAX], said[SAID];
    const char *const words[] = {pg_ctl, "stop", "-D", c->data, "-m", "immediate", "-w"};
    int rc;

    if (!c->runs)
        return 0;
    (void)snprintf(pg_ctl, sizeof pg_ctl, "%s/pg_ctl", c->bin);
    rc = fence_run(words, sizeof words / sizeof *words, (struct bytes){NULL, 0}, NULL, o, said, sizeof said,
                   e);
    if (rc > 0)
        rc = err_set(e, ERR_IO, "pg_ctl: %.200s", said);
    if (rc == 0)
        rc = look(c, e);
    return rc == 0 && c->runs ? err_set(e, ERR_STATE, "the postmaster still runs") : rc;
}

static int cut_all(struct cluster *c, const struct fence_order *o, struct err *e)
{
    int64_t ticks;
    long n;
    int rc;

    if (kill((pid_t)c->p.pid, SIGHUP) != 0)
        return err_sys(e, ERR_IO, errno, "the postmaster takes no signal");
    do { /* until the postmaster has read them */
        pause_ms(PAUSE_MS);
        rc = refused(c, o, e);
    } while (rc == ERR_STATE && fence_left(o).ns > PAUSE_MS * 1000000);
    ticks = mono_to_ms(clock_mono()) * sysconf(_SC_CLK_TCK) / 1000 + 1;
    /* Whatever it is that fails: there is time to try again, and a stop is the last resort. */
    while (rc == 0) {
        unsigned connecting = end_connecting(c, ticks);
        int ended = sessions(c, true, o, &n, e);

        if (ended == 0 && connecting)
            (void)err_set(e, ERR_STATE, "somebody is connecting by the rules before");
        else if (ended == 0 && proven(c, o, e) == 0)
            return 0;
        if (fence_left(o).ns <= PAUSE_MS * 1000000)
            rc = e->code;
        pause_ms(PAUSE_MS);
    }
    return rc;
}

/* What cannot be cut is stopped, while there is time to see that it is gone. */
static int fence_cut(struct cluster *c, const struct fence_order *o, struct err *e)
{
    struct fence_order half = *o;
    int rc = cut(c, e);

    if (!c->runs)
        return rc;
    half.until = mono_add(clock_mono(), span_ns(fence_left(o).ns / 2));
    if (rc == 0)
        rc = cut_all(c, &half, e);
    return rc == 0 ? 0 : fence_stop(c, o, e);
}

int fence_postgresql(const struct guard_settings *s, const struct fence_order *o, struct err *e)
{
    bool stop = strcmp(option_text(s->section, "postgresql_mode"), "stop") == 0, recovers = false;
    struct cluster c = {.runs = false};
    int rc = find(s, &c, e);

    if (rc != 0)
        return rc;
    if (o->job == GUARD_RELEASE)
        return stop ? 0 : uncut(&c, true, e);
    if (c.runs && in_recovery(&c, o, &recovers, e) != 0 && o->job == GUARD_PROVE)
        return e->code; /* a fence goes on: who cannot be asked may be writing */
    if (recovers)
        return stop ? 0 : uncut(&c, false, e);
    if (o->job == GUARD_FENCE)
        return stop ? fence_stop(&c, o, e) : fence_cut(&c, o, e);
    if (!c.runs)
        return 0;
    return stop ? err_set(e, ERR_STATE, "the postmaster runs") : proven(&c, o, e);
}
