/* How a launcher tells its processes their place: environment variables of Open MPI, of MPICH and Slurm (PMI), of
 * PMIx. A program without them is a world of one; starting MPI in it would take a second or two. */
#include "wire.h"

#include <stdlib.h>

static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", NULL};
static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS", NULL};

static int first_of(const char *const *names, int otherwise)
{
    for (; *names; names++) {
        const char *number = getenv(*names);
        if (number) return atoi(number);
    }
    return otherwise;
}

bool wg__launched(int *rank, int *size)
{
    *rank = first_of(ranks, -1);
    *size = *rank < 0 ? 1 : first_of(sizes, 1);
    return *rank >= 0;
}
