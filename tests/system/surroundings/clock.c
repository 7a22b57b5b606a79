#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile long *offset;
static long off(void) {
    if (!offset) {
        int f = open("/clock/offset", O_RDONLY | O_CLOEXEC);
        void *m = f < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, f, 0);
        static long none; 
        offset = m == MAP_FAILED ? &none : m;
        if (f >= 0) close(f);
    }
    return *offset;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    int r = syscall(SYS_clock_gettime, id, t);
    if (!r && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += off();
    return r;
}
int gettimeofday(struct timeval *t, void *z) {
    struct timespec s; clock_gettime(CLOCK_REALTIME, &s); t->tv_sec = s.tv_sec; t->tv_usec = s.tv_nsec / 1000; return 0;
}
time_t time(time_t *t) { struct timespec s; clock_gettime(CLOCK_REALTIME, &s); if (t) *t = s.tv_sec; return s.tv_sec; }
