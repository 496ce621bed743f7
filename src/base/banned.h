/* Included by the build in front of every file: functions that cannot be used safely. */
#ifndef NX_BASE_BANNED_H
#define NX_BASE_BANNED_H
#if !defined(__cplusplus)
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef alloca
#pragma GCC poison strcpy strcat sprintf vsprintf gets alloca atoi atol strtok
#endif
#endif
