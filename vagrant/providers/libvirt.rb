# Virtual machines: a kernel each, with KVM where the processor has it, emulated where it has not. "script/lab up --provider
# libvirt" brings a libvirt of its own, bridges and a fence device (vagrant/machines/hypervisor.sh); Vagrant alone uses the
# machine's own libvirt and makes the networks there.
require "base64"

module Lab
  # By the processor's word: a /dev/kvm can be there and of no use.
  def self.kvm?
    File.read("/proc/cpuinfo").match?(/^flags\s*:.* (vmx|svm)( |$)/) && File.exist?("/dev/kvm")
  end

  def self.libvirt(machine, name, _number)
    machine.vm.provider :libvirt do |domain, override|
      override.vm.guest = :debian # finding that out by itself takes Vagrant a score of commands in the machine
      give_box(override, "libvirt")
      libvirt_hardware(domain, name)
      libvirt_networks(domain, override, name)
    end
    libvirt_prepared(machine, name) if libvirt_room?
  end

  # Whether script/lab made bridges and a fence device for this.
  def self.libvirt_room?
    ENV["LAB_ROOM"] && ENV["VAGRANT_DEFAULT_PROVIDER"] == "libvirt"
  end

  def self.libvirt_hardware(domain, name)
    domain.uri = "qemu:///system"
    domain.driver = kvm? ? "kvm" : "qemu"
    domain.cpu_mode = kvm? ? "host-passthrough" : "custom"
    domain.cpu_model = "qemu64" unless kvm?
    domain.default_prefix = "" # a node is known to the fence device by its name
    domain.memory = memory
    domain.cpus = cpus
    domain.disk_bus = "virtio"
    domain.disk_driver cache: "unsafe" # thrown away before the machine below could lose power
    domain.graphics_type = "none"
    domain.random model: "random"
    domain.serial type: "file", source: { path: "#{ENV['LAB_ROOM']}/#{name}.console" } if libvirt_room?
    return unless fence == "sbd" && name != "client"

    domain.storage :file, size: "16M", path: "koboshi-lab-sbd.raw", type: "raw", bus: "virtio", device: "vdb",
                          cache: "none", shareable: true, allow_existing: true
  end

  # A way in that no scenario cuts, and the two rings.
  def self.libvirt_networks(domain, override, name)
    domain.management_network_name = "lab-entry"
    domain.management_network_address = "10.77.9.0/24"
    domain.management_network_mode = "none"
    domain.management_network_mac = mac(9, name)
    %w[a b].each_with_index do |letter, ring|
      card = { ip: address(ring, name), netmask: "255.255.255.0", mac: mac(ring, name) }
      if libvirt_room?
        override.vm.network :public_network, **card, auto_config: false, dev: "br-#{letter}", mode: "bridge",
                                             type: "bridge"
      else
        override.vm.network :private_network, **card, libvirt__network_name: "lab-#{letter}",
                                              libvirt__host_ip: "10.77.#{ring}.254", libvirt__dhcp_enabled: false,
                                              libvirt__forward_mode: "none"
      end
    end
  end

  # Its name, its addresses, and the key with which it may ask the fence device, at once and before all else: Vagrant's own
  # way to the first two takes a dozen commands, which an emulated processor is minutes over.
  def self.libvirt_prepared(machine, name)
    words = ["hostname #{name}", "echo #{name} >/etc/hostname"]
    [1, 2].each do |card|
      words << "printf '[Match]\\nName=eth#{card}\\n[Network]\\nAddress=#{address(card - 1, name)}/24\\n" \
               "ConfigureWithoutCarrier=yes\\nLinkLocalAddressing=no\\nIPv6AcceptRA=no\\n' " \
               ">/etc/systemd/network/50-ring#{card}.network"
    end
    words << "networkctl reload"
    key = "#{ENV['LAB_ROOM']}/fence_xvm.key"
    if fence == "xvm" && File.readable?(key)
      words << "install -d -m 700 /etc/cluster"
      words << "echo '#{Base64.strict_encode64(File.binread(key))}' | base64 -d >/etc/cluster/fence_xvm.key"
    end
    machine.vm.provision "machine", type: "shell", inline: "set -e\n#{words.join("\n")}"
  end
end
