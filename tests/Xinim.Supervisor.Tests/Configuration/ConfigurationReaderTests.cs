using Xinim.Ipc;
using Xinim.Supervisor.Configuration;

namespace Xinim.Supervisor.Tests.Configuration;

public sealed class ConfigurationReaderTests
{
    private const string File = "/etc/xinim.json";

    [Fact]
    public void An_empty_object_gives_every_default()
    {
        DaemonConfiguration read = ConfigurationReader.Parse("{}", File);

        Assert.Equal(RuntimePaths.Socket, read.Socket);
        Assert.Null(read.SocketGroup);
        Assert.Equal(64_100u, read.DriverUserBase);
        Assert.Empty(read.Devices);
    }

    [Fact]
    public void A_device_of_one_key_gives_every_default()
    {
        DeviceConfiguration device = Assert.Single(ConfigurationReader.Parse("""{ "devices": [ { "device": "0000:00:03.0" } ] }""", File).Devices);

        Assert.Equal("0000:00:03.0", device.Device);
        Assert.Null(device.Name);
        Assert.Null(device.Driver);
        Assert.Null(device.Netdev);
        Assert.False(device.Poll);
        Assert.Empty(device.Properties);
        Assert.Empty(device.Options);
    }

    [Fact]
    public void Every_key_is_read_and_comments_and_trailing_commas_are_allowed()
    {
        DaemonConfiguration read = ConfigurationReader.Parse("""
            {
              // for the lab
              "socket": "/run/x.sock", "socketGroup": "net", "driverUserBase": 2000, /* and up */
              "devices": [
                { "device": "00:03.0", "name": "lan", "driver": "e1000", "poll": true, "processors": [ 0 ], "options": { "a": 512, "b": false, "c": "x y" } },
                { "device": "remote:e1000", "name": "wan", "netdev": "user", "properties": { "mac": "52:54:00:00:00:01" } },
              ],
            }
            """, File);

        Assert.Equal(("/run/x.sock", "net", 2000u, 2), (read.Socket, read.SocketGroup, read.DriverUserBase, read.Devices.Count));
        Assert.Equal(("00:03.0", "lan", "e1000", true), (read.Devices[0].Device, read.Devices[0].Name, read.Devices[0].Driver, read.Devices[0].Poll));
        Assert.Equal([0], read.Devices[0].Processors);
        Assert.Equal([new("a", "512"), new("b", "false"), new("c", "x y")], read.Devices[0].Options);
        Assert.Equal(("user", "52:54:00:00:00:01"), (read.Devices[1].Netdev, read.Devices[1].Properties["mac"]));
    }

    [Fact]
    public void Several_remote_devices_of_one_model_are_several_devices()
        => Assert.Equal(2, ConfigurationReader.Parse("""{ "devices": [ { "device": "remote:e1000" }, { "device": "remote:e1000" } ] }""", File).Devices.Count);

    [Fact]
    public void A_back_end_is_named_by_the_path_of_its_socket()
        => Assert.Equal(["vhost-user-net:/run/a", "vhost-user-blk:/run/b"], ConfigurationReader.Parse(
            """{ "devices": [ { "device": "vhost-user-net:/run/a" }, { "device": "vhost-user-blk:/run/b" } ] }""", File).Devices.Select(device => device.Device));

    // Each: what is wrong, the line it is on, and what the message must say beside.
    [Theory]
    [InlineData("{\n\"sockets\": \"x\" }", 2, "unknown key 'sockets'; allowed here: socket, socketGroup, driverUserBase, sandbox, waitForDevices, devices")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:03.0\",\n\"pol\": true } ] }", 3, "unknown key 'pol'; allowed here: device, name, driver, poll, processors, restart, options, netdev, drives, properties, ports")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\", \"restart\":\n{ \"pause\": 1 } } ] }", 2, "unknown key 'pause'; allowed here: firstPause, maxPause, quietPeriod, giveUpAfter, script")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n\"restart\": { \"giveUpAfter\": -1 } } ] }", 2, "'restart' of 00:03.0: 'giveUpAfter' is -1; allowed: 0 (never) to 1000000 failures")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n\"processors\": [ 0, 9999 ] } ] }", 2, "'processors' of 00:03.0 has 9999; the daemon may use ")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n\"processors\": [ -1 ] } ] }", 2, "'processors' of 00:03.0 has -1; the daemon may use ")]
    [InlineData("{\n\"driverUserBase\": \"many\" }", 2, "$.driverUserBase")]
    [InlineData("{ \"socket\":\n 7 }", 2, "$.socket")]
    [InlineData("{ \"socket\":\n null }", 2, "socket")]
    [InlineData("{\n\"devices\": null }", 2, "devices")]
    [InlineData("{\n\n\"devices\": [ null ] }", 3, "a device is null")]
    [InlineData("{ \"devices\": [ {\n\"device\": null } ] }", 2, "device")]
    [InlineData("{\n\"socket\": \"a\",\n\"socket\": \"b\" }", 3, "socket")]
    [InlineData("{\n\"driverUserBase\": 999 }", 2, "'driverUserBase' is 999; allowed: 1000 to 65000")]
    [InlineData("{\n\"driverUserBase\": 65001 }", 2, "'driverUserBase' is 65001; allowed: 1000 to 65000")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"eth0\" } ] }", 2, "'eth0' is neither a PCI address such as 0000:00:03.0 nor remote:MODEL")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"vhost-user-scsi:/a\" } ] }", 2, "'vhost-user-scsi:/a' names no vhost-user device; write vhost-user-net:/run/back-end.sock or")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"vhost-user-net:a\" } ] }", 2, "the socket of 'vhost-user-net:a' is no absolute path")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"vhost-user-net:/a\" }, { \"device\": \"vhost-user-blk:/a\" } ] }", 2, "device vhost-user-blk:/a stands twice")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"vhost-user-net:/a\", \"netdev\": \"user\" } ] }", 2, "'netdev', 'drives', 'properties' and 'ports' are for remote devices only")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:20.0\" } ] }", 2, "'00:20.0' is neither a PCI address")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:03.8\" } ] }", 2, "'00:03.8' is neither a PCI address")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"remote:\" } ] }", 2, "'remote:' is neither a PCI address")]
    [InlineData("{ \"devices\": [ { \"device\": \"0000:00:03.0\" },\n{ \"device\": \"0000:00:03.0\" } ] }", 2, "0000:00:03.0 stands twice")]
    [InlineData("{ \"devices\": [ { \"device\": \"0000:00:03.0\" },\n{ \"device\": \"00:03.0\" } ] }", 2, "00:03.0 stands twice")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"name\": \"0lan\" } ] }", 2, "name '0lan' is not allowed; use 1 to 15 letters, digits, '-' and '_', a letter first")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"name\": \"abcdefghijklmnop\" } ] }", 2, "is not allowed")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\", \"name\": \"a\" }, { \"device\": \"00:04.0\",\n \"name\": \"a\" } ] }", 2, "name 'a' stands twice")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:03.0\", \"ports\": [ {} ] } ] }", 2, "'netdev', 'drives', 'properties' and 'ports' are for remote devices only")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"remote:virtio-serial-pci\", \"ports\": [ { \"nam\": \"x\" } ] } ] }", 2, "unknown key 'nam'; allowed here: name, socket, console")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:03.0\", \"netdev\": \"user\" } ] }", 2, "'netdev', 'drives', 'properties' and 'ports' are for remote devices only")]
    [InlineData("{ \"devices\": [\n{ \"device\": \"00:03.0\", \"properties\": { \"mac\": \"x\" } } ] }", 2, "'netdev', 'drives', 'properties' and 'ports' are for remote devices only")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"options\": 5 } ] }", 2, "'options' is an object")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"options\": { \"a\": null } } ] }", 2, "option 'a' is null; allowed: a number, a text, true, false")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\", \"options\": { \"a\":\n [ 1,\n 2 ] } } ] }", 3, "option 'a' is [ 1,  2 ]; allowed")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"options\": { \"a\": 1, \"a\": 2 } } ] }", 2, "option 'a' stands twice")]
    [InlineData("{ \"devices\": [ { \"device\": \"00:03.0\",\n \"options\": { \"a=b\": 1 } } ] }", 2, "option 'a=b' has a key with '='")]
    [InlineData("{\n\"socket\": \"x\"", 2, "")]
    [InlineData("[]", 1, "")]
    public void What_is_wrong_is_named_with_file_and_line(string text, int line, string says)
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => ConfigurationReader.Parse(text, File));

        Assert.StartsWith($"{File}:{line}: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(says, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', exception.Message);
    }

    [Theory]
    [InlineData("null", "empty")]
    [InlineData("""{ "devices": [ { "name": "lan" } ] }""", "missing: 'device'")]
    public void What_has_no_line_is_named_with_the_file(string text, string says)
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => ConfigurationReader.Parse(text, File));

        Assert.StartsWith(File, exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("::", exception.Message, StringComparison.Ordinal);
        Assert.Contains(says, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_or_is_a_folder_is_named()
    {
        foreach (string file in new[] { "/nowhere/xinim.json", Path.GetTempPath() })
            Assert.StartsWith($"cannot read the configuration {file}: ", Assert.Throws<LinuxException>(() => ConfigurationReader.Read(file)).Message, StringComparison.Ordinal);
    }
}
