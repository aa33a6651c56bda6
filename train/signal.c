/* Ctrl-C and SIGTERM that are noted; the clock. */
#include "progress.h"

#include "../autograd/base/clock.h"

#include <signal.h>

static volatile sig_atomic_t noted;

static void note(int number) { noted = number; }

void wg_signal_catch(void)
{
    /* The first signal removes the handler, so that a second one has its default effect. */
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int wg_signal_number(void) { return noted; }

bool wg_signal_noted(void *context)
{
    (void)context;
    return noted != 0;
}

double wg_seconds(void) { return wg__seconds_now(); }
