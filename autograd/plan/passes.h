/* Internal. The switches of passes that can be turned off (tape option plan, environment WG_PLAN). */
#ifndef WG_PASSES_H
#define WG_PASSES_H

/* The switches' names are these in lower case. Exact passes change no bit; rounding ones change the order of
 * additions; the switches remat and cache belong to differentiation and to the plan cache. */
enum {
    WG__PASS_ATTENTION = 1,      /* rounding */
    WG__PASS_LOOKUP = 2,         /* rounding */
    WG__PASS_REMAT = 4,          /* exact */
    WG__PASS_RECOMPUTE = 8,      /* exact */
    WG__PASS_RESIDUALS = 16,     /* exact */
    WG__PASS_MERGE = 32,         /* rounding */
    WG__PASS_FUSE = 64,          /* exact */
    WG__PASS_SHARE_WEIGHT = 128, /* exact */
    WG__PASS_SCHEDULE = 256,     /* exact */
    WG__PASS_PACK = 512,         /* exact */
    WG__PASS_PLACE = 1024,       /* exact */
    WG__PASS_CACHE = 2048,       /* exact */
    WG__PASS_BF16 = 4096,        /* rounding; off by default and by "all" */
    WG__PASS_NARROW = 8192,      /* exact */
    WG__PASS_INT8 = 16384,       /* as bf16 */
    WG__PASS_PRECISION = WG__PASS_BF16 | WG__PASS_INT8
};

#endif
