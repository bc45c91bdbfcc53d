/* fsm markdown|mermaid|dot: the machine of failover, on standard output. */
#include <stdio.h>

#include "tests/tools/fsm.h"

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "markdown";
    struct buf b;

    buf_init(&b, NULL, 1 << 20);
    if (strcmp(how, "mermaid") == 0)
        fsm_mermaid(&b);
    else if (strcmp(how, "dot") == 0)
        fsm_dot(&b);
    else
        fsm_markdown(&b);
    (void)fwrite(b.data, 1, b.len, stdout);
    buf_free(&b);
    return 0;
}
