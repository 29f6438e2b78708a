/* bcryptprimitives.dll, as far as Rust's standard library needs it.
 *
 * The library takes the random keys of its hash maps from `ProcessPrng`, and so every program
 * imports it. Wine 8, which Debian 12 has, lacks this DLL: without it no program would even start.
 * The documentation of advapi32 calls `SystemFunction036` RtlGenRandom.
 */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG len);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T len)
{
    while (len > 0) {
        ULONG part = len > 0x10000 ? 0x10000 : (ULONG)len;
        if (!SystemFunction036(buffer, part))
            return FALSE;
        buffer += part;
        len -= part;
    }
    return TRUE;
}
