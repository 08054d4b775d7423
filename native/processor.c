/* Which of the libraries this processor, and the system on it, can run. */
#define API __attribute__((visibility("default")))

API int hecli_can_fma256(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

API int hecli_can_fma512(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f");
}

API int hecli_can_ifma512(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
}
