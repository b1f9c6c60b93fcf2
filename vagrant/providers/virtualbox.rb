# Virtual machines on a workstation: Debian's public box, into which the provisioning installs what a node needs from
# Debian's archive (the box that vagrant/build-box makes is for libvirt). The rings are internal networks of VirtualBox:
# no address of the lab exists on the machine itself, and the client is a machine as well. There is no hypervisor's fence
# device: nodes fence by a shared disk (SBD). Never tried: VirtualBox was not at hand.
module Lab
  VIRTUALBOX_BOX = "debian/bookworm64".freeze

  def self.virtualbox(machine, name, _number)
    machine.vm.provider :virtualbox do |vm, override|
      override.vm.box = VIRTUALBOX_BOX
      give_box(override, "virtualbox") unless chosen("LAB_BOX").empty?
      vm.name = "koboshi-lab-#{name}"
      vm.memory = memory
      vm.cpus = cpus
      vm.linked_clone = true
      vm.check_guest_additions = false
      %w[a b].each_with_index do |letter, ring|
        override.vm.network :private_network, ip: address(ring, name), netmask: "255.255.255.0",
                            mac: mac(ring, name).delete(":"), virtualbox__intnet: "koboshi-lab-#{letter}"
      end
      virtualbox_shared_disk(vm, name) if fence == "sbd" && name != "client"
    end
  end

  # One disk that all nodes write to: what SBD needs. Made with the first node, which is brought up before the others.
  def self.virtualbox_shared_disk(vm, name)
    disk = "#{dotfiles}/koboshi-lab-sbd.vdi"
    if name == "node1" && !File.exist?(disk)
      vm.customize ["createmedium", "disk", "--filename", disk, "--size", "16", "--variant", "Fixed"]
      vm.customize ["modifymedium", "disk", disk, "--type", "shareable"]
    end
    vm.customize ["storageattach", :id, "--storagectl", "SATA Controller", "--port", "1", "--device", "0",
                  "--type", "hdd", "--medium", disk, "--mtype", "shareable"]
  end
end
