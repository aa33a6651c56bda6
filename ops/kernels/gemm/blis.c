/* The only file that includes blis.h. It takes the micro-kernel and the block sizes from BLIS' context; packing and the
 * loops around the micro-kernel are ours (gemm.c), so BLIS allocates nothing and takes no lock during a run.
 *
 * The context is chosen by the processor's features. BLIS itself goes by the processor's name; on a virtual machine
 * that masks the name it would choose the kernels of a smaller machine. */
#include "../../../autograd/base/isa.h"
#include "micro.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#ifdef WG__BLIS_SUBDIRECTORY
#include <blis/blis.h>
#else
#include <blis.h>
#endif

typedef void (*tile_f32)(dim_t m, dim_t n, dim_t k, float *alpha, float *a, float *b, float *beta, float *c,
                         inc_t rs, inc_t cs, auxinfo_t *info, cntx_t *context);
typedef void (*tile_f64)(dim_t m, dim_t n, dim_t k, double *alpha, double *a, double *b, double *beta, double *c,
                         inc_t rs, inc_t cs, auxinfo_t *info, cntx_t *context);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static wg__blis found[2]; /* f32, f64; written once, under `once`; kernel NULL: none is suitable */
static char name[64];

#if defined WG__BLIS_LOOKUP_NATIVE
static inline cntx_t *lookup(arch_t id) { return (cntx_t *)bli_gks_lookup_nat_cntx(id); }
#elif defined WG__BLIS_LOOKUP_ID
static inline cntx_t *lookup(arch_t id) { return (cntx_t *)bli_gks_lookup_id(id); }
#else
static inline cntx_t *lookup(arch_t id) { return NULL; }
#endif

/* The context for this processor, if this build of BLIS has one and offers a way to look it up; else BLIS' own
 * choice. */
static cntx_t *choose_context(const char **kind)
{
    cntx_t *context = NULL;
#if defined BLIS_CONFIG_SKX
    if (wg__isa_get() == WG__ISA_avx512) context = lookup(BLIS_ARCH_SKX), *kind = "skx";
#endif
#if defined BLIS_CONFIG_HASWELL
    if (wg__isa_get() == WG__ISA_avx2) context = lookup(BLIS_ARCH_HASWELL), *kind = "haswell";
#endif
#if defined __x86_64__
    /* Our own tile has no fused multiply-add here, and BLIS' kernel must give the same bits. */
    if (wg__isa_get() == WG__ISA_baseline) context = lookup(BLIS_ARCH_GENERIC), *kind = "generic";
#endif
    if (context) return context;
    *kind = bli_arch_string(bli_arch_query_id());
    return (cntx_t *)bli_gks_query_cntx();
}

static void read_context(wg__blis *blis, num_t type, cntx_t *context)
{
#if defined WG__BLIS_NATIVE_GETTERS /* before 1.0 */
    void *kernel = bli_cntx_get_l3_nat_ukr_dt(type, BLIS_GEMM_UKR, context);
    bool prefers_rows = bli_cntx_get_l3_nat_ukr_prefs_dt(type, BLIS_GEMM_UKR, context);
#else
    void *kernel = (void *)bli_cntx_get_ukr_dt(type, BLIS_GEMM_UKR, context);
    bool prefers_rows = bli_cntx_get_ukr_prefs_dt(type, BLIS_GEMM_UKR_ROW_PREF, context);
#endif
    int mr = (int)bli_cntx_get_blksz_def_dt(type, BLIS_MR, context);
    int nr = (int)bli_cntx_get_blksz_def_dt(type, BLIS_NR, context);
    /* A configuration may pad panels beyond the tile; the kernel then expects another packing than ours. */
    if (bli_cntx_get_blksz_max_dt(type, BLIS_MR, context) != mr ||
        bli_cntx_get_blksz_max_dt(type, BLIS_NR, context) != nr)
        return;
    *blis = (wg__blis){.wide = prefers_rows ? nr : mr,
                       .narrow = prefers_rows ? mr : nr,
                       .kc = (int)bli_cntx_get_blksz_def_dt(type, BLIS_KC, context),
                       .prefers_rows = prefers_rows,
                       .kernel = kernel,
                       .context = context};
}

static void find(void)
{
    const char *kind;
    bli_init();
    cntx_t *context = choose_context(&kind);
    if (!context) return;
    read_context(&found[0], BLIS_FLOAT, context);
    read_context(&found[1], BLIS_DOUBLE, context);
    snprintf(name, sizeof(name), "BLIS %.20s %.20s", bli_info_get_version_str(), kind);
}

const wg__blis *wg__blis_get(wg_dtype dtype)
{
    pthread_once(&once, find);
    const wg__blis *blis = &found[dtype == WG_F64];
    return blis->kernel ? blis : NULL;
}

const char *wg__blis_name(void)
{
    pthread_once(&once, find);
    return name;
}

/* A kernel that prefers columns of C computes the transposed problem: C^T = B^T A^T. */
#define TILE(type, call)                                                                                           \
    type one = 1, zero = 0;                                                                                        \
    auxinfo_t info;                                                                                                \
    memset(&info, 0, sizeof(info));                                                                                \
    bli_auxinfo_set_next_a((void *)(blis->prefers_rows ? a : b), &info);                                           \
    bli_auxinfo_set_next_b((void *)(blis->prefers_rows ? b : a), &info);                                           \
    if (blis->prefers_rows)                                                                                        \
        ((call)blis->kernel)(rows, cols, k, &one, (type *)a, (type *)b, add ? &one : &zero, c, c_rs, c_cs, &info,  \
                             blis->context);                                                                       \
    else                                                                                                           \
        ((call)blis->kernel)(cols, rows, k, &one, (type *)b, (type *)a, add ? &one : &zero, c, c_cs, c_rs, &info,  \
                             blis->context)

static void run_f32(const wg__blis *blis, int rows, int cols, int64_t k, const void *a, const void *b, bool add,
                    void *c, int64_t c_rs, int64_t c_cs)
{
    TILE(float, tile_f32);
}

static void run_f64(const wg__blis *blis, int rows, int cols, int64_t k, const void *a, const void *b, bool add,
                    void *c, int64_t c_rs, int64_t c_cs)
{
    TILE(double, tile_f64);
}

wg__blis_tile wg__blis_tile_get(wg_dtype dtype) { return dtype == WG_F64 ? run_f64 : run_f32; }
