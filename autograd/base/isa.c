/* Which instruction set the kernels use: the best that both the processor and the operating system offer. The
 * environment variable WENGERT_ISA (baseline, avx2, avx512) lowers it, for tests. Found once. */
#include "isa.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[WG__ISA_COUNT] = {"baseline", "avx2", "avx512"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static wg__isa found; /* written once, under `once` */
static bool has_bf16; /* the same */

static wg__isa detect(void)
{
#if defined __x86_64__
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return WG__ISA_baseline;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return WG__ISA_avx512;
    return WG__ISA_avx2;
#else
    return WG__ISA_baseline;
#endif
}

static void find(void)
{
    found = detect();
    const char *wanted = getenv("WENGERT_ISA");
#if defined __x86_64__
    has_bf16 = found == WG__ISA_avx512 && !wanted && __builtin_cpu_supports("avx512bf16");
#endif
    for (int i = 0; wanted && i < (int)found; i++)
        if (strcmp(wanted, names[i]) == 0) found = (wg__isa)i;
}

wg__isa wg__isa_get(void)
{
    pthread_once(&once, find);
    return found;
}

bool wg__isa_has_bf16(void)
{
    pthread_once(&once, find);
    return has_bf16;
}

const char *wg__isa_name(void) { return names[wg__isa_get()]; }
