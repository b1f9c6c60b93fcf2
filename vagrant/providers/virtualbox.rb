# Virtual machines on a workstation: Debian's public box, with what a node needs installed from Debian's archive (the box that
# vagrant/build-box makes is for libvirt). The rings are internal networks of VirtualBox: no address of the lab exists on the
# machine itself, and the client is a machine as well. There is no hypervisor's fence device: nodes fence by a shared disk.
module Lab
  VIRTUALBOX_BOX = "debian/bookworm64".freeze

  def self.virtualbox(machine, name, _number)
    machine.vm.provider :virtualbox do |vm, override|
      override.vm.box = chosen("LAB_BOX").empty? ? VIRTUALBOX_BOX : chosen("LAB_BOX")
      vm.name = "koboshi-lab-#{name}"
      vm.memory = number("LAB_MEMORY", 512, 65_536)
      vm.cpus = number("LAB_CPUS", 1, 16)
      vm.linked_clone = true
      vm.check_guest_additions = false
      %w[a b].each_with_index do |letter, ring|
        override.vm.network :private_network, ip: address(ring, name), netmask: "255.255.255.0",
                            mac: mac(ring, name).delete(":"), virtualbox__intnet: "koboshi-lab-#{letter}"
      end
      virtualbox_shared_disk(vm) if chosen("LAB_FENCE") == "sbd" && name != "client"
      override.vm.provision "packages", type: "shell", before: "lab", inline: virtualbox_packages
    end
  end

  # One disk that all nodes write to: what SBD needs. Made with the first node, which is brought up before the others.
  def self.virtualbox_shared_disk(vm)
    disk = "#{ENV.fetch('VAGRANT_DOTFILE_PATH', "#{HERE}/.vagrant")}/koboshi-lab-sbd.vdi"
    unless File.exist?(disk)
      vm.customize ["createmedium", "disk", "--filename", disk, "--size", "16", "--variant", "Fixed"]
      vm.customize ["modifymedium", "disk", disk, "--type", "shareable"]
    end
    vm.customize ["storageattach", :id, "--storagectl", "SATA Controller", "--port", "1", "--device", "0",
                  "--type", "hdd", "--medium", disk, "--mtype", "shareable"]
  end

  # The same packages that the other box is made of, by its own list.
  def self.virtualbox_packages
    lists = File.read("#{HERE}/box/rootfs.sh").scan(/^(?:CLUSTER|SERVERS|PYTHON)="([^"]+)"/m)
    "export DEBIAN_FRONTEND=noninteractive\n" \
      "dpkg -s pacemaker >/dev/null 2>&1 && exit 0\n" \
      "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d\n" \
      "apt-get -q update && apt-get -q -y install --no-install-recommends #{lists.flatten.join(' ').split.join(' ')}\n" \
      "status=$?; rm -f /usr/sbin/policy-rc.d; exit $status"
  end
end
