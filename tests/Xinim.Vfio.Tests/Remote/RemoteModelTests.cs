using Xinim.Ipc;
using Xinim.Vfio.Remote;
using Xunit;

namespace Xinim.Vfio.Tests.Remote;

public sealed class RemoteModelTests
{
    [Theory]
    [InlineData("remote:e1000")]
    [InlineData("remote:e1000e")]
    [InlineData("remote:e1000-82545em")]
    [InlineData("remote:virtio-net-pci")]
    public void Takes_the_names_of_models(string device)
    {
        RemoteModel model = RemoteModel.Parse(device);
        Assert.Equal(device, model.Name);
        Assert.Contains($"{device[7..]},id=dev,romfile=", string.Join(' ', model.CommandLine(3)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("e1000")]
    [InlineData("remote:")]
    [InlineData("remote:e1000,netdev=x")]
    [InlineData("remote:e1000 -monitor stdio")]
    [InlineData("remote:E1000")]
    [InlineData("remote:-e1000")]
    [InlineData("remote:e1000\n")]
    public void Refuses_other_names(string device) => Assert.Throws<LinuxException>(() => RemoteModel.Parse(device));

    [Theory]
    [InlineData("user")]
    [InlineData("user,net=10.0.3.0/24,restrict=on")]
    [InlineData("socket,udp=127.0.0.1:9001,localaddr=127.0.0.1:9000")]
    public void Takes_networks(string netdev)
        => Assert.Contains($"{netdev},id=net", RemoteModel.Parse("remote:e1000", netdev).CommandLine(3));

    [Theory]
    [InlineData("tap,ifname=tap0")]
    [InlineData("tap,ifname=tap0,queues=4")]
    public void Takes_an_interface_and_has_no_script_run_for_it(string netdev)
        => Assert.Contains($"{netdev},id=net,script=no,downscript=no", RemoteModel.Parse("remote:virtio-net-pci", netdev).CommandLine(3));

    [Theory]
    [InlineData("tap,script=/tmp/x")]
    [InlineData("user,smb=/")]
    [InlineData("user,guestfwd=tcp:10.0.2.100:1-cmd:sh")]
    [InlineData("socket")]
    [InlineData("socket,fd=0")]
    [InlineData("user\n")]
    [InlineData("tap")]
    [InlineData("tap,fd=3")]
    [InlineData("tap,ifname=tap0,queues=9")]
    [InlineData("tap,ifname=tap0,script=/bin/sh")]
    public void Refuses_other_networks(string netdev) => Assert.Throws<LinuxException>(() => RemoteModel.Parse("remote:e1000", netdev));

    [Theory]
    [InlineData("disk.img")]
    [InlineData("/tmp/a,file.driver=nbd")]
    [InlineData("/tmp/a b")]
    [InlineData("null-co,size=-1")]
    [InlineData("/tmp/a,bad-sector=x")]
    [InlineData("/tmp/a,discard=unmap,media=cdrom")]
    public void Refuses_other_drives(string drive) => Assert.Throws<LinuxException>(() => RemoteModel.Parse("remote:nvme", drives: [drive]));

    [Theory]
    [InlineData("mac", "52:54:00:12:34:57,romfile=/etc/shadow")]
    [InlineData("romfile", "x")]
    [InlineData("id", "x")]
    [InlineData("a=b", "x")]
    public void Refuses_other_properties(string key, string value)
        => Assert.Throws<LinuxException>(() => RemoteModel.Parse("remote:e1000", properties: [KeyValuePair.Create(key, value)]));

    [Fact]
    public void Command_line_serves_the_device_on_the_socket_in_a_sandbox()
    {
        IReadOnlyList<string> line = RemoteModel.Parse("remote:e1000", properties: [KeyValuePair.Create("mac", "52:54:00:12:34:57")]).CommandLine(7);
        Assert.Equal(["-machine", "x-remote"], line.Take(2));
        Assert.Contains("-sandbox", line);
        Assert.Contains("e1000,id=dev,romfile=,mac=52:54:00:12:34:57", line);
        Assert.Equal("x-remote-object,id=remote,devid=dev,fd=7", line[^1]);
    }

    [Fact]
    public void Disks_hang_where_their_controller_wants_them()
    {
        IReadOnlyList<string> ahci = RemoteModel.Parse("remote:ich9-ahci", drives: ["/tmp/a.img", "null-co,size=1048576"]).CommandLine(3);
        Assert.Contains("driver=raw,node-name=drive0,file.driver=file,file.filename=/tmp/a.img", ahci);
        Assert.Contains("driver=null-co,node-name=drive1,read-zeroes=on,size=1048576", ahci);
        Assert.Contains("ide-hd,drive=drive1,bus=dev.1", ahci);
        IReadOnlyList<string> kinds = RemoteModel.Parse("remote:ich9-ahci", drives: ["/tmp/a,discard=unmap", "/tmp/b,media=cdrom", "/tmp/c,bad-sector=7"]).CommandLine(3);
        Assert.Contains("driver=raw,node-name=drive0,file.driver=file,file.filename=/tmp/a,discard=unmap", kinds);
        Assert.Contains("driver=raw,node-name=drive1,read-only=on,file.driver=file,file.filename=/tmp/b", kinds);
        Assert.Contains("ide-cd,drive=drive1,bus=dev.1", kinds);
        Assert.Contains(kinds, word => word.StartsWith("driver=raw,node-name=drive2,file.driver=blkdebug,file.image.driver=file,file.image.filename=/tmp/c,file.inject-error.0", StringComparison.Ordinal));
        Assert.Contains("virtio-blk-pci,id=dev,romfile=,disable-legacy=on,iommu_platform=on,drive=drive0", RemoteModel.Parse("remote:virtio-blk-pci", drives: ["/tmp/a"]).CommandLine(3));
    }

    [Fact]
    public void Ports_hang_on_their_bus_and_listen()
    {
        RemotePort console = new() { Console = true }, port = new() { Name = "org.xinim.0", Socket = "/run/x/port" };
        IReadOnlyList<string> line = RemoteModel.Parse("remote:virtio-serial-pci", ports: [console, port]).CommandLine(3);
        Assert.Contains("null,id=chr0", line);
        Assert.Contains("virtconsole,bus=dev.0,nr=0,chardev=chr0,id=port0", line);
        Assert.Contains("socket,id=chr1,path=/run/x/port,server=on,wait=off", line);
        Assert.Contains("virtserialport,bus=dev.0,nr=1,chardev=chr1,id=port1,name=org.xinim.0", line);
        Assert.Contains("virtserialport,bus=dev.0,nr=1,chardev=chr1,id=port1,name=org.xinim.0", RemoteModel.Parse("remote:virtio-serial-pci", ports: [port]).CommandLine(3));
    }

    [Theory]
    [InlineData("virtio-serial-pci", "a,id=x", "/tmp/a")]
    [InlineData("virtio-serial-pci", "a", "relative")]
    [InlineData("virtio-serial-pci", "a", "/tmp/a,server=off")]
    [InlineData("virtio-serial-pci", "", "/tmp/a")]
    [InlineData("e1000", "a", "/tmp/a")]
    public void Refuses_other_ports(string model, string name, string socket)
        => Assert.Throws<LinuxException>(() => RemoteModel.Parse($"remote:{model}", ports: [new RemotePort { Name = name, Socket = socket }]));

    [Theory]
    [InlineData("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright", "7.2.22")]
    [InlineData("QEMU emulator version 10.0.2\n", "10.0.2")]
    [InlineData("QEMU emulator version 8.2", "8.2")]
    public void Reads_versions(string output, string version) => Assert.Equal(Version.Parse(version), QemuProgram.ParseVersion(output, "qemu"));

    [Theory]
    [InlineData("")]
    [InlineData("bash: qemu: not found")]
    [InlineData("QEMU emulator version x.y")]
    public void Refuses_what_is_no_version(string output) => Assert.Throws<LinuxException>(() => QemuProgram.ParseVersion(output, "qemu"));

    [Fact]
    public void Missing_program_says_how_to_get_it()
        => Assert.Contains("apt-get install qemu-system-x86", Assert.Throws<LinuxException>(() => QemuProgram.Find("/nonexistent")).Message, StringComparison.Ordinal);

    [Fact]
    public void Untested_version_is_a_warning()
    {
        Assert.Null(new QemuProgram("/usr/bin/qemu", new Version(7, 2, 22)).Warning);
        Assert.Contains("tested with 7.2", new QemuProgram("/usr/bin/qemu", new Version(9, 0)).Warning, StringComparison.Ordinal);
    }
}
