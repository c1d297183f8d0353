/*
 * What LD_PRELOAD (ld.so(8)) puts into programs of services with `transparent = source`: to a program that asks who is at
 * the other end of its connection, it is the client, not gtunnel.
 *
 * Only the socket that the program was given as its standard input is meant, by whatever number. The address is what
 * gtunnel says in the environment, REMOTE_HOST and REMOTE_PORT. Whatever is not as it should be is left to the C library.
 *
 * It is no part of Python: programs are of any kind. SPDX-License-Identifier: Apache-2.0
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

typedef int (*getpeername_function)(int, struct sockaddr *, socklen_t *);

static struct stat connection;
static int has_connection;

__attribute__((constructor)) static void remember(void)
{
    int kept = errno;
    has_connection = fstat(0, &connection) == 0 && S_ISSOCK(connection.st_mode);
    errno = kept;
}

static int is_connection(int number)
{
    struct stat found;
    return has_connection && fstat(number, &found) == 0 && found.st_dev == connection.st_dev &&
           found.st_ino == connection.st_ino;
}

/* The client's address; its length, or 0 if there is none. */
static socklen_t client(struct sockaddr_storage *address)
{
    const char *host = getenv("REMOTE_HOST"), *port = getenv("REMOTE_PORT");
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE];
    char *end, *zone;
    long number;

    if (host == NULL || port == NULL || *port == '\0' || strlen(host) >= sizeof text)
        return 0;
    number = strtol(port, &end, 10);
    if (*end != '\0' || number < 0 || number > 65535)
        return 0;
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((unsigned short)number);
        return sizeof *v4;
    }
    strcpy(text, host);
    zone = strchr(text, '%');
    if (zone != NULL) {
        *zone++ = '\0';
        v6->sin6_scope_id = if_nametoindex(zone);
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
        return 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((unsigned short)number);
    return sizeof *v6;
}

__attribute__((visibility("default"))) int getpeername(int number, struct sockaddr *restrict address,
                                                       socklen_t *restrict length)
{
    getpeername_function original = (getpeername_function)dlsym(RTLD_NEXT, "getpeername");
    struct sockaddr_storage found;
    socklen_t size;
    int kept = errno, result;

    if (original == NULL) {
        errno = ENOSYS;
        return -1;
    }
    /* Where it fails (no socket, not connected any more, a bad pointer), it fails. */
    size = *length;
    result = original(number, address, length);
    if (result != 0 || !is_connection(number))
        return result;
    *length = size;
    size = client(&found);
    if (size == 0)
        return original(number, address, length);
    memcpy(address, &found, size < *length ? size : *length);
    *length = size;
    errno = kept;
    return 0;
}
