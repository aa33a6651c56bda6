/* See models.h. */
#include "models.h"

#include "../app.h"

#include <stdlib.h>
#include <string.h>

char *models_path(const char *folder, const char *file)
{
    const char *home = getenv("HOME");
    if (!folder) folder = getenv("WG_ZOO");
    const bool given = folder && *folder;
    if (!given) folder = home ? home : ".";
    const size_t room = strlen(folder) + strlen(file) + 32;
    char *path = app_room((int64_t)room, 1);
    snprintf(path, room, "%s%s/%s", folder, given ? "" : "/.cache/wengert-zoo", file);
    return path;
}
