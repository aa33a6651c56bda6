/* In a build without MPI: nobody to send to. A world of one rank never does. */
#include "wire.h"

#include <stdio.h>

static wg_status refuse(wg_error *error)
{
    return wg_error_set(error, WG_ERR_IO, "this build has no MPI: see the option mpi of meson");
}

const bool wg__has_wire = false;

wg_status wg__wire_open(int *argc, char ***argv, int *rank, int *size, wg_error *error) { return refuse(error); }
void wg__wire_close(void) {}
void wg__wire_engine(char *text, size_t size) { snprintf(text, size, "none"); }
wg_status wg__wire_send(const void *bytes, size_t size, int to, int kind, wg__request *request, wg_error *error)
{
    return refuse(error);
}
wg_status wg__wire_receive(void *bytes, size_t size, int from, int kind, wg__request *request, wg_error *error)
{
    return refuse(error);
}
wg_status wg__wire_test(wg__request *request, bool *done, wg_error *error)
{
    *done = true;
    return WG_OK;
}
wg_status wg__wire_note(void *bytes, size_t size, int *from, wg_error *error)
{
    *from = -1;
    return WG_OK;
}
