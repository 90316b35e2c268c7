/* Host names against the names of an NTLM challenge. */
#include "relay/stage/namecheck.h"

#include <string.h>
#include <strings.h>

static size_t label_length(const char *name)
{
    return strcspn(name, ".");
}

static bool labels_equal(const char *a, size_t a_length, const char *b, size_t b_length)
{
    return a_length == b_length && a_length > 0 && strncasecmp(a, b, a_length) == 0;
}

bool namecheck_fits(const char *target, const struct auth_peer *peer)
{
    size_t length = label_length(target);
    size_t dns_length = label_length(peer->dns_computer);
    size_t netbios_length = strlen(peer->netbios_computer);
    if (!peer->known)
        return false;
    if (labels_equal(target, length, peer->dns_computer, dns_length))
        return true;
    if (length <= NAMECHECK_NETBIOS_LENGTH)
        return labels_equal(target, length, peer->netbios_computer, netbios_length);
    return dns_length == 0 &&
           labels_equal(target, NAMECHECK_NETBIOS_LENGTH, peer->netbios_computer, netbios_length);
}
