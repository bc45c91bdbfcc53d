/* Runs a fuzzer's target over the files given as arguments: its corpus and the crashers kept from earlier. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(1 << 24);
    size_t n = 0;

    if (f && data) {
        uint8_t *exact;

        n = fread(data, 1, 1 << 24, f);
        exact = malloc(n ? n : 1); /* of the very size, so that a sanitizer sees a read beyond the end */
        if (exact) {
            for (size_t i = 0; i < n; i++)
                exact[i] = data[i];
            (void)LLVMFuzzerTestOneInput(exact, n);
        }
        free(exact);
    }
    free(data);
    if (!f) {
        perror(path);
        return 1;
    }
    (void)fclose(f);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = 0;

    for (int i = 1; i < argc; i++)
        bad += replay(argv[i]);
    printf("%d inputs replayed\n", argc - 1 - bad);
    return bad != 0;
}
