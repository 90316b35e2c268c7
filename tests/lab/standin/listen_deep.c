/* Gives one process's listening sockets a queue of 4,096 instead of the 50 that smbd asks for: one
 * smbd stands for hundreds of machines, each of which has a queue of its own. When 50 wait, the
 * kernel drops the last step of further handshakes: the client takes itself for connected, and gets
 * its first answer many seconds later. Loaded with LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>

int listen(int fd, int backlog)
{
    static int (*real)(int, int);
    if (!real)
        real = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
    return real(fd, backlog < 4096 ? 4096 : backlog);
}
