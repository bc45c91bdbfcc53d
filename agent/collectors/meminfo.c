/* Memory, from /proc/meminfo (proc_meminfo(5)): brackets become an underscore, lines
 * in kB become bytes, as node_exporter has it. Rows are constants, so only the lines
 * known here are shown; the table has those of kernels 4.9 to 6.18 in the order in
 * which the kernel prints them, which makes the look-up of a line one comparison. */
#include "agent/collector.h"
#include "agent/scan.h"

#define KB(name, help)                                                                                       \
    {                                                                                                        \
        "node_memory_" name "_bytes", METRIC_GAUGE, 1024, 1, "", help                                        \
    }
#define PAGES(name, help)                                                                                    \
    {                                                                                                        \
        "node_memory_" name, METRIC_GAUGE, 1, 1, "", help                                                    \
    }

static const struct metric_row rows[] = {
    KB("MemTotal", "Memory that the kernel can use."),
    KB("MemFree", "Memory that nothing uses."),
    KB("MemAvailable", "Memory that programs could get without swapping, as the kernel estimates it."),
    KB("Buffers", "Cache of raw blocks."),
    KB("Cached", "Page cache, with shared memory and without the swap cache."),
    KB("SwapCached", "Memory that is back from swap and still has its place there."),
    KB("Active", "Memory used lately, which is not reclaimed unless it must be."),
    KB("Inactive", "Memory not used lately, the first to be reclaimed."),
    KB("Active_anon", "Anonymous memory used lately."),
    KB("Inactive_anon", "Anonymous memory not used lately."),
    KB("Active_file", "Page cache used lately."),
    KB("Inactive_file", "Page cache not used lately."),
    KB("Unevictable", "Memory that cannot be reclaimed."),
    KB("Mlocked", "Memory locked by mlock(2)."),
    KB("HighTotal", "High memory (32-bit systems)."),
    KB("HighFree", "Free high memory (32-bit systems)."),
    KB("LowTotal", "Low memory (32-bit systems)."),
    KB("LowFree", "Free low memory (32-bit systems)."),
    KB("MmapCopy", "Memory copied for mappings on systems without an MMU."),
    KB("SwapTotal", "Swap space."),
    KB("SwapFree", "Swap space that nothing uses."),
    KB("Zswap", "Memory that the compressed swap cache takes."),
    KB("Zswapped", "Memory that is stored in the compressed swap cache, before compression."),
    KB("Dirty", "Page cache that waits to be written."),
    KB("Writeback", "Page cache that is being written."),
    KB("AnonPages", "Anonymous memory mapped by programs."),
    KB("Mapped", "Files mapped by programs."),
    KB("Shmem", "Shared memory and tmpfs."),
    KB("KReclaimable", "Kernel memory that can be reclaimed."),
    KB("Slab", "Kernel's slab caches."),
    KB("SReclaimable", "Slab caches that can be reclaimed."),
    KB("SUnreclaim", "Slab caches that cannot be reclaimed."),
    KB("KernelStack", "Stacks of tasks in the kernel."),
    KB("ShadowCallStack", "Shadow call stacks of tasks in the kernel."),
    KB("PageTables", "Page tables."),
    KB("SecPageTables", "Secondary page tables, of virtual machines and IOMMUs."),
    KB("Quicklists", "Page table pages kept for reuse (kernels before 5.1)."),
    KB("NFS_Unstable", "NFS pages sent but not committed (always 0 since 5.8)."),
    KB("Bounce", "Bounce buffers of block devices."),
    KB("WritebackTmp", "Buffers of FUSE for writing back."),
    KB("CommitLimit", "Memory that may be promised under strict overcommit."),
    KB("Committed_AS", "Memory promised to programs."),
    KB("VmallocTotal", "Address space for vmalloc."),
    KB("VmallocUsed", "Address space that vmalloc uses."),
    KB("VmallocChunk", "Largest free piece of vmalloc's address space (0 in newer kernels)."),
    KB("Percpu", "Memory for data of each processor."),
    KB("EarlyMemtestBad", "Memory found bad by the test at boot."),
    KB("HardwareCorrupted", "Memory with errors that was taken out of use."),
    KB("AnonHugePages", "Anonymous memory in huge pages."),
    KB("ShmemHugePages", "Shared memory in huge pages."),
    KB("ShmemPmdMapped", "Shared memory mapped by huge pages."),
    KB("FileHugePages", "Page cache in huge pages."),
    KB("FilePmdMapped", "Page cache mapped by huge pages."),
    KB("CmaTotal", "Memory of the contiguous memory allocator."),
    KB("CmaFree", "Free memory of the contiguous memory allocator."),
    KB("Unaccepted", "Memory of a confidential guest that is not accepted yet."),
    KB("Balloon", "Memory given back to the hypervisor."),
    KB("GPUActive", "Memory that graphics drivers use."),
    KB("GPUReclaim", "Memory that graphics drivers could give back."),
    PAGES("HugePages_Total", "Huge pages in the pool."),
    PAGES("HugePages_Free", "Huge pages that are not allocated."),
    PAGES("HugePages_Rsvd", "Huge pages promised but not yet allocated."),
    PAGES("HugePages_Surp", "Huge pages above the size of the pool."),
    KB("Hugepagesize", "Size of a huge page."),
    KB("Hugetlb", "Memory taken by huge pages of all sizes."),
    KB("DirectMap4k", "Kernel's direct map in 4 KiB pages."),
    KB("DirectMap64k", "Kernel's direct map in 64 KiB pages."),
    KB("DirectMap1M", "Kernel's direct map in 1 MiB pages."),
    KB("DirectMap2M", "Kernel's direct map in 2 MiB pages."),
    KB("DirectMap4M", "Kernel's direct map in 4 MiB pages."),
    KB("DirectMap1G", "Kernel's direct map in 1 GiB pages."),
    KB("DirectMap2G", "Kernel's direct map in 2 GiB pages."),
    {"securebase_host_memory_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "",
     "Share of the memory that programs could not get without swapping: 1 - MemAvailable / MemTotal."},
    {"securebase_host_swap_utilization_ratio", METRIC_GAUGE, 1, RATIO_DIV, "",
     "Share of the swap space in use; absent where there is none."},
};
enum { ROWS = sizeof rows / sizeof *rows, LINES = ROWS - 2, PREFIX = sizeof "node_memory_" - 1 };
enum { MEM_TOTAL = 0, MEM_AVAILABLE = 2 };

/* True when the line's key ("Active(anon)") is the row's ("node_memory_Active_anon_bytes"). */
static bool same_key(const struct metric_row *row, struct text key)
{
    const char *name = row->name + PREFIX;
    uint32_t n = key.n - (key.n > 1 && key.p[key.n - 1] == ')' && memchr(key.p, '(', key.n)), i = 0;

    for (; i < n && name[i]; i++)
        if (name[i] != (key.p[i] == '(' && n < key.n ? '_' : key.p[i]))
            return false;
    return i == n && strcmp(name + i, row->mul == 1024 ? "_bytes" : "") == 0;
}

/* The row of a key, looked for from the one behind the last; LINES when it is unknown. */
static size_t find(size_t from, struct text key)
{
    for (size_t k = 0; k < LINES; k++) {
        size_t i = from + k < LINES ? from + k : from + k - LINES;

        if (same_key(&rows[i], key))
            return i;
    }
    return LINES;
}

/* Values of the few lines that ratios are made of. */
struct few {
    uint64_t total, available, swap_total, swap_free;
    unsigned seen;
};

static void keep(struct few *f, size_t row, uint64_t v)
{
    if (row == MEM_TOTAL) {
        f->total = v;
        f->seen |= 1;
    } else if (row == MEM_AVAILABLE) {
        f->available = v;
        f->seen |= 2;
    } else if (strcmp(rows[row].name + PREFIX, "SwapTotal_bytes") == 0) {
        f->swap_total = v;
        f->seen |= 4;
    } else if (strcmp(rows[row].name + PREFIX, "SwapFree_bytes") == 0) {
        f->swap_free = v;
        f->seen |= 8;
    }
}

static void put_ratios(const struct few *f, struct sink *out)
{
    if ((f->seen & 3) == 3 && f->total)
        sink_int(out, &rows[LINES], NULL, ratio_sample(1 - (double)f->available / (double)f->total));
    if ((f->seen & 12) == 12 && f->swap_total)
        sink_int(out, &rows[LINES + 1], NULL, ratio_sample(1 - (double)f->swap_free / (double)f->swap_total));
}

static int meminfo_read(void *state, const struct tick *t, const struct bytes *files, struct sink *out,
                        struct err *e)
{
    struct scan s = scan_of(files[0]), line;
    struct few few = {0};
    unsigned bad = 0, found = 0;
    size_t next = 0;

    (void)state;
    (void)t;
    while (scan_line(&s, &line)) {
        struct text key, unit;
        uint64_t v;
        size_t row;

        if (!scan_word(&line, &key))
            continue;
        if (key.p[key.n - 1] != ':' || !scan_uint(&line, &v)) {
            bad++;
            continue;
        }
        key.n--;
        row = find(next, key);
        if (row == LINES)
            continue;
        if ((scan_word(&line, &unit) && text_is(unit, "kB")) != (rows[row].mul == 1024)) {
            bad++;
            continue;
        }
        next = row + 1 < LINES ? row + 1 : 0;
        sink_uint(out, &rows[row], NULL, v);
        keep(&few, row, v);
        found++;
    }
    put_ratios(&few, out);
    if (bad)
        return err_set(e, ERR_MALFORMED, "proc/meminfo: %u lines could not be read", bad);
    return found ? 0 : err_set(e, ERR_NOTFOUND, "proc/meminfo has no line that is known");
}

static const char *const files[] = {"proc/meminfo", NULL};

const struct collector collector_meminfo = {
    .name = "meminfo",
    .summary = "Memory and swap, from /proc/meminfo.",
    .shape = COLLECTOR_READ,
    .enabled = true,
    .rows = rows,
    .n_rows = ROWS,
    .files = files,
    .read = meminfo_read,
};
