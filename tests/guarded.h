/* Memory between two pages without access: reads and writes past its end crash. */
#ifndef WG_TEST_GUARDED_H
#define WG_TEST_GUARDED_H

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct guarded {
    char *map, *start, *end; /* start .. end: whole accessible pages */
    char *data;              /* the requested bytes, which end at `end` */
    size_t bytes, mapped;
} guarded;

static inline guarded guarded_new(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    guarded g = {.bytes = bytes, .mapped = body + 2 * page};
    g.map = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g.map == MAP_FAILED || mprotect(g.map, page, PROT_NONE) || mprotect(g.map + page + body, page, PROT_NONE))
        exit(2);
    g.start = g.map + page;
    g.end = g.start + body;
    g.data = g.end - bytes;
    return g;
}

static inline void guarded_free(guarded *g) { munmap(g->map, g->mapped); }

#endif
