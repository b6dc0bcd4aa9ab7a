/* Makes the write number SHORT_WRITE_AT take half of what it was given. SHORT_WRITE_THEN says what
 * follows: "rest" takes the rest, "bytes" takes one byte at a time for the next 20 writes, "ENOSPC"
 * and "EIO" fail the next write. Creates SHORT_WRITE_DONE once it did. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long count;

static void done(void) {
    const char *path = getenv("SHORT_WRITE_DONE");
    int fd = path ? open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600) : -1;
    if (fd >= 0) close(fd);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    const char *at = getenv("SHORT_WRITE_AT");
    const char *then = getenv("SHORT_WRITE_THEN");
    long nth, target = at ? atol(at) : 0;
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    nth = __sync_add_and_fetch(&count, 1);
    if (nth == target && length > 1) {
        done();
        return real(fd, bytes, length / 2, offset);
    }
    if (then && nth > target) {
        if (!strcmp(then, "bytes") && nth <= target + 20 && length > 0)
            return real(fd, bytes, 1, offset);
        if (nth == target + 1 && (!strcmp(then, "ENOSPC") || !strcmp(then, "EIO"))) {
            errno = strcmp(then, "EIO") ? ENOSPC : EIO;
            return -1;
        }
    }
    return real(fd, bytes, length, offset);
}
