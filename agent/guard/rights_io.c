/* The helper's rights: it becomes the user that it is to be, or stays root with a few of root's capabilities, which bound
 * whatever it starts as well. No program that it runs can gain any: see capabilities(7) and prctl(2), PR_SET_NO_NEW_PRIVS. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/guard/helper.h"
#include "agent/guard/settings.h"

static int become(const char *name, struct err *e)
{
    const struct passwd *u = getpwnam(name);

    if (!u)
        return err_set(e, ERR_CONFIG, "user: there is no user \"%.60s\"", name);
    if (u->pw_uid == geteuid())
        return 0;
    if (geteuid() != 0)
        return err_set(e, ERR_DENIED, "user: only root can become \"%.60s\"", name);
    if (initgroups(name, u->pw_gid) != 0 || setresgid(u->pw_gid, u->pw_gid, u->pw_gid) != 0 ||
        setresuid(u->pw_uid, u->pw_uid, u->pw_uid) != 0)
        return err_sys(e, ERR_DENIED, errno, "user: cannot become \"%.60s\"", name);
    return 0;
}

static int keep_capabilities(uint64_t keep, struct err *e)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!(keep >> i & 1) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
            return err_sys(e, ERR_DENIED, errno, "cannot give up capability %lu", i);
    if (syscall(SYS_capget, &h, d) != 0)
        return err_sys(e, ERR_DENIED, errno, "capget");
    for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        d[i].permitted &= (uint32_t)(keep >> 32 * i);
        d[i].effective = d[i].permitted;
        d[i].inheritable = 0;
    }
    return syscall(SYS_capset, &h, d) == 0 ? 0 : err_sys(e, ERR_DENIED, errno, "capset");
}

int rights_drop(const struct guard_settings *s, struct err *e)
{
    int rc = 0;

    if (*s->user)
        rc = become(s->user, e);
    if (rc == 0 && geteuid() == 0)
        rc = keep_capabilities(s->capabilities, e);
    if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        rc = err_sys(e, ERR_DENIED, errno, "no_new_privs");
    return rc;
}
