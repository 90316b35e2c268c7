/* The kernel's choice of a source address. */
#include "relay/stage/source.h"

#include <string.h>
#include <unistd.h>

#define ANY_PORT 9 /* RFC 863; nothing is sent, but there must be one */

void source_find(struct destination *to, struct onlink *onlink, uint64_t now_ms)
{
    union stage_address peer = to->address;
    bool v4 = stage_address_is_v4(&peer);
    to->reachable = false;
    int fd = socket(peer.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (v4)
        peer.v4.sin_port = htons(ANY_PORT);
    else
        peer.v6.sin6_port = htons(ANY_PORT);
    socklen_t size = sizeof to->source;
    memset(&to->source, 0, sizeof to->source);
    to->reachable = connect(fd, &peer.any, stage_address_size(&peer)) == 0 &&
                    getsockname(fd, &to->source.any, &size) == 0;
    (void)close(fd);
    to->source_bits = to->reachable ? onlink_prefix_bits(onlink, now_ms, &to->source) : 0;
}
