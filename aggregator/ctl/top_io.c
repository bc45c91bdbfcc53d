/* sbctl top: a frame every few seconds; in a terminal on a screen of its own, left with q or an interrupt,
 * which gives the terminal back as it was. Elsewhere frames follow one another. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "aggregator/ctl/ctl.h"

static const char enter[] = "\033[?1049h\033[?25l";
static const char leave[] = "\033[?25h\033[?1049l";
static const char home[] = "\033[H";

struct screen {
    bool on;
    struct termios before;
};

/* INT and TERM are held back while the screen is ours and looked for between frames. */
static sigset_t ending(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

static void screen_enter(struct screen *s)
{
    struct termios raw;
    sigset_t set = ending();

    if (tcgetattr(STDIN_FILENO, &s->before) == 0) {
        raw = s->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)fputs(enter, stdout);
    s->on = true;
}

static void screen_leave(struct screen *s)
{
    if (!s->on)
        return;
    (void)fputs(leave, stdout);
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

/* Waits; true when the user wants to leave. */
static bool wait_or_quit(const struct screen *s, int seconds)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t set = ending();
    struct timespec none = {0};
    char c;

    if (!s->on) {
        (void)sleep((unsigned)seconds);
        return false;
    }
    for (int i = 0; i < seconds * 10; i++) {
        if (sigtimedwait(&set, NULL, &none) > 0)
            return true;
        if (poll(&in, 1, 100) > 0 && (read(STDIN_FILENO, &c, 1) != 1 || c == 'q' || c == 'Q'))
            return true;
    }
    return false;
}

/* Cuts the frame to the screen: at most rows lines of at most columns bytes, each cleared to its end. */
static void draw(const struct buf *frame, int columns, int rows, struct buf *out)
{
    const char *p = (const char *)frame->data, *end = p + frame->len;

    buf_str(out, home);
    for (int row = 0; row < rows - 1 && p < end; row++) {
        const char *eol = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((eol ? eol : end) - p);

        buf_put(out, p, n < (size_t)columns ? n : (size_t)columns);
        buf_str(out, "\033[K\r\n");
        p += n + 1;
    }
    buf_str(out, "\033[J");
}

static int frame(struct ctl *c, cJSON **before, int rows, struct buf *out, struct err *e)
{
    cJSON *status = ctl_json(c, "/api/v1/status", e);
    cJSON *agents = status ? ctl_json(c, "/api/v1/agents?limit=1000", e) : NULL;
    cJSON *series = agents ? ctl_json(c,
                                      "/api/v1/series?limit=10000&match=%7B__name__%3D~%22"
                                      "securebase_host_.*_utilization_ratio%7Csecurebase_probe_(success%"
                                      "7Cduration_seconds)%7Credis_up%7C"
                                      "securebase_app_redis_(hit_ratio%7Clast_reply_seconds)%22%7D",
                                      e)
                           : NULL;
    cJSON *percentiles = series ? ctl_json(c, "/api/v1/percentiles", e) : NULL;
    int rc = percentiles ? 0 : e->code;

    if (!rc) {
        show_top(status, *before, agents, series, percentiles, rows, out);
        cJSON_Delete(*before);
        *before = status;
        status = NULL;
    }
    cJSON_Delete(status);
    cJSON_Delete(agents);
    cJSON_Delete(series);
    cJSON_Delete(percentiles);
    return rc;
}

int ctl_top(struct ctl *c, const struct ctl_options *o, int argc, char **argv, struct err *e)
{
    struct screen s = {0};
    struct buf text, out;
    cJSON *before = NULL;
    int columns = 0, rows = 0, rc = 0;

    if (argc)
        return err_set(e, ERR_CONFIG, "found \"%s\", expected no argument", argv[0]);
    buf_init(&text, NULL, 16 << 20);
    buf_init(&out, NULL, 16 << 20);
    for (;;) {
        bool terminal = !o->once && ctl_terminal(&columns, &rows);

        buf_clear(&text);
        buf_clear(&out);
        rc = frame(c, &before, terminal ? rows : 0, &text, e);
        if (rc && !s.on)
            break;
        if (rc)
            buf_fmt(&text, "no answer: %s\nq leaves; trying again\n", e->text);
        if (terminal && !s.on)
            screen_enter(&s);
        if (s.on)
            draw(&text, columns, rows, &out);
        ctl_print(s.on ? &out : &text);
        rc = 0;
        if (o->once || wait_or_quit(&s, o->interval ? o->interval : 2))
            break;
        if (!s.on)
            (void)puts("");
    }
    screen_leave(&s);
    cJSON_Delete(before);
    buf_free(&text);
    buf_free(&out);
    return rc;
}
