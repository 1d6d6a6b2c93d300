global using Xunit;

// Descriptors and mappings of the whole process are counted.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
