global using Xunit;

// A supervisor is one thread and its driver processes; tests count this process's descriptors and mappings.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
