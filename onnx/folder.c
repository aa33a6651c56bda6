/* Maps a model, and the files of external data in its folder. A path from the file is walked part by part without
 * following symbolic links, so that it cannot leave the folder. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../io/file.h"

char *wg__span_text(wg__arena *arena, wg__span span)
{
    char *text = wg__arena_alloc(arena, span.size + 1, 1);
    if (!text) return NULL;
    if (span.size) memcpy(text, span.data, span.size);
    text[span.size] = 0;
    return text;
}

/* Maps the whole file and closes it. */
static bool map(wg__folder *folder, int fd, const char *name, wg__span *bytes, wg_error *error)
{
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        wg__system_error(error, name, "open");
        if (fd >= 0) close(fd);
        return false;
    }
    const size_t size = S_ISREG(status.st_mode) && status.st_size > 0 ? (size_t)status.st_size : 0;
    wg__mapped *file = wg__arena_array(folder->arena, 1, sizeof *file);
    void *memory = size && file ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    const int code = errno;
    close(fd);
    if (!size) return wg_error_set(error, WG_ERR_FORMAT, WG__AT "is empty, or no file", name), false;
    if (!file) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", name), false;
    if (memory == MAP_FAILED) {
        errno = code;
        wg__system_error(error, name, "map");
        return false;
    }
    *bytes = (wg__span){memory, size};
    *file = (wg__mapped){.next = folder->first, .name = name, .bytes = *bytes};
    folder->first = file;
    return true;
}

bool wg__folder_open(wg__folder *folder, wg__arena *arena, const char *path, wg__span *bytes, wg_error *error)
{
    *folder = (wg__folder){.arena = arena, .path = wg__span_text(arena, wg__span_of(path))};
    if (!folder->path) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path), false;
    return map(folder, open(path, O_RDONLY | O_CLOEXEC), folder->path, bytes, error);
}

void wg__folder_close(wg__folder *folder)
{
    for (wg__mapped *file = folder->first; file; file = file->next)
        munmap((void *)(uintptr_t)file->bytes.data, file->bytes.size);
    folder->first = NULL;
}

/* Opens the folder that the model is in; -1 with errno. */
static int open_folder(const wg__folder *folder)
{
    const char *slash = strrchr(folder->path, '/');
    if (!slash) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *name =
        wg__span_text(folder->arena, (wg__span){(const uint8_t *)folder->path, (size_t)(slash - folder->path) + 1});
    if (!name) return errno = ENOMEM, -1;
    return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Opens part after part of the path below the folder; -1 with errno. It writes NULs into name. */
static int open_below(const wg__folder *folder, char *name)
{
    int fd = open_folder(folder);
    while (fd >= 0) {
        char *slash = strchr(name, '/');
        if (slash) *slash = 0;
        const int next =
            openat(fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (slash ? O_DIRECTORY : 0));
        const int code = errno;
        close(fd);
        errno = code;
        fd = next;
        if (!slash) break;
        name = slash + 1;
    }
    return fd;
}

bool wg__folder_take(wg__folder *folder, wg__span location, uint64_t offset, int64_t size, wg__span *bytes,
                     wg_error *error)
{
    const wg__mapped *file = folder->first;
    while (file && (!file->next || !wg__span_is(location, file->name))) file = file->next;
    if (file)
        *bytes = file->bytes;
    else {
        char *name = wg__span_text(folder->arena, location), *parts = wg__span_text(folder->arena, location);
        if (!name || !parts) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", folder->path), false;
        if (!wg__path_is_below(name, location.size))
            return wg_error_set(error, WG_ERR_FORMAT,
                                WG__AT "external data in '%.80s', which leaves the model's folder", folder->path,
                                name),
                   false;
        if (!map(folder, open_below(folder, parts), name, bytes, error)) return false;
    }
    if (offset > bytes->size || (size >= 0 && (uint64_t)size > bytes->size - offset))
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "external data past the end of '%.80s'", folder->path,
                            file ? file->name : folder->first->name),
               false;
    *bytes = (wg__span){bytes->data + offset, size >= 0 ? (size_t)size : bytes->size - (size_t)offset};
    return true;
}
