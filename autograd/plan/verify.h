/* Internal. The verifier: checks the planner's invariants after every pass, in builds with WG__VERIFY. */
#ifndef WG_VERIFY_H
#define WG_VERIFY_H

#include "planner.h"

#ifdef WG__VERIFY
void wg__verify(const wg__planner *p, const char *pass);
#else
static inline void wg__verify(const wg__planner *p, const char *pass) { (void)p, (void)pass; }
#endif

#endif
