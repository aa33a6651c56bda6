/* Which instruction sets the kernels use. Found once. */
#include "isa.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined __x86_64__
#include <cpuid.h>
#endif
#if defined __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#if defined __x86_64__ && !defined WG__ONE_ISA
#define HAS_STEPS /* above the first one */
#endif

enum { STEPS = WG__ISA_avx512 + WG__BF16_AMX + 1 };
static const char *const names[STEPS] = {"baseline", "avx2", "avx512", "avx512bf16", "amx"};

static pthread_once_t once = PTHREAD_ONCE_INIT, amx_once = PTHREAD_ONCE_INIT;
static int found;       /* a step; written once, under `once` */
static bool amx_usable; /* written once, under `amx_once` */

#ifdef HAS_STEPS
/* TILE and BF16 of AMX. Not in __builtin_cpu_supports of gcc 12. */
static bool has_amx(void)
{
#if defined __linux__
    enum { BF16 = 1 << 22, TILE = 1 << 24 };
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & BF16) && (d & TILE);
#else
    return false;
#endif
}
#endif

/* A process needs leave to use the tile registers; Linux refuses if a signal stack is too small for them. */
static void ask_for_amx(void)
{
#if defined __x86_64__ && defined __linux__
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    amx_usable = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
#endif
}

static int detect(void)
{
#ifdef HAS_STEPS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return WG__ISA_baseline;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return WG__ISA_avx2;
    if (!__builtin_cpu_supports("avx512bf16")) return WG__ISA_avx512;
    return (int)WG__ISA_avx512 + (int)(has_amx() ? WG__BF16_AMX : WG__BF16_AVX512);
#else
    return WG__ISA_baseline;
#endif
}

static void find(void)
{
    found = detect();
    const char *wanted = getenv("WENGERT_ISA");
    for (int i = 0; wanted && i < found; i++)
        if (strcmp(wanted, names[i]) == 0) found = i;
}

static int step(void)
{
    pthread_once(&once, find);
    return found;
}

wg__isa wg__isa_get(void) { return step() < WG__ISA_avx512 ? (wg__isa)step() : WG__ISA_avx512; }

wg__isa_bf16 wg__isa_get_bf16(void)
{
    const int above = step() - (int)WG__ISA_avx512;
    if (above != WG__BF16_AMX) return above > 0 ? (wg__isa_bf16)above : WG__BF16_WIDENED;
    pthread_once(&amx_once, ask_for_amx);
    return amx_usable ? WG__BF16_AMX : WG__BF16_AVX512;
}

bool wg__isa_bf16_is_fast(void)
{
#if defined __x86_64__
    const wg__isa_bf16 isa = wg__isa_get_bf16();
    return isa == WG__BF16_AMX || (isa == WG__BF16_AVX512 && __builtin_cpu_is("amd"));
#else
    return false;
#endif
}

const char *wg__isa_name(void) { return names[step()]; }
